"""Declare a function, its arguments, and the roles that may execute it."""

# ruff: noqa: S608  the statements consist of declarations with quoted names

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dbschema.ddl.base import DatabaseObject, Phase, commented, dollar_quoted, give, qualified, quote, take
from dbschema.sql import Identity, check_name, sql_string

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True)
class Argument:
    """An argument of a function: name, type, and default as SQL."""

    name: str
    type: str
    default: str | None = None

    def declaration(self) -> str:
        """Return the argument as SQL."""
        default = "" if self.default is None else f" DEFAULT {self.default}"
        return f"{quote(self.name)} {self.type}{default}"


@dataclass(frozen=True)
class Function(DatabaseObject):
    """A function. Only its owner may execute it, unless `executable_by` or a `Grant` names other roles.

    Args:
        name: the name, without schema.
        returns: the result type as SQL: 'trigger', 'uuid', 'SETOF incidents', 'TABLE (id uuid)'.
        body: the source code, stored byte for byte.
        arguments: the arguments, in order.
        language: 'plpgsql' or 'sql'.
        volatility: 'VOLATILE', 'STABLE' or 'IMMUTABLE'.
        parallel: 'UNSAFE', 'RESTRICTED' or 'SAFE'.
        strict: a NULL argument returns NULL, without a call.
        security_definer: run with the rights of the owner.
        settings: parameters during a call, as (name, value as SQL); a SECURITY DEFINER function pins search_path.
        pinned_to: pin search_path to pg_catalog, the function's own schema and the schemas of these extensions; they
            are looked up when the statement runs. None: search_path is set by `settings` only.
        cost, rows: the planner's estimates for a call; None: PostgreSQL's defaults.
        owner: the role that owns the function; None: the role that creates it. Only the owner can grant EXECUTE: with
            an owner, use `executable_by` instead of a `Grant`.
        executable_by: the roles that may execute the function.
        needs_tables: the signature names tables (such as SETOF incidents); the function is created after them.
        table: the table that the function is created and dropped with; None: it belongs to no table.
        schema: None for the default schema.
        comment: text of COMMENT ON FUNCTION.
    """

    kind: ClassVar[str] = "function"
    phase: ClassVar[Phase] = Phase.FUNCTION

    name: str
    returns: str
    body: str
    arguments: tuple[Argument, ...] = ()
    language: str = "plpgsql"
    volatility: str = "VOLATILE"
    parallel: str = "UNSAFE"
    strict: bool = False
    security_definer: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    pinned_to: tuple[str, ...] | None = None
    cost: int | None = None
    rows: int | None = None
    owner: str | None = None
    executable_by: tuple[str, ...] = ()
    needs_tables: bool = False
    table: str | None = None
    schema: str | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        check_name("function", self.name, self.schema or "the default schema")

    @property
    def signature(self) -> str:
        """Name and argument types for DROP and GRANT: `search(uuid, text)`, with the schema if it is set."""
        return (
            f"{qualified(self.schema, self.name)}({', '.join(argument.type for argument in self.arguments)})"
        )

    @property
    def identity(self) -> Identity:
        """Kind, schema, and the name with the argument types: PostgreSQL allows overloads."""
        types = ", ".join(argument.type for argument in self.arguments)
        return Identity(self.kind, self.schema, "", f"{self.name}({types})")

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that the function belongs to, or None."""
        return None if self.table is None else (self.schema, self.table)

    @property
    def order(self) -> Phase:
        """The phase in which the object is created."""
        return Phase.TABLE_FUNCTION if self.needs_tables or self.table is not None else Phase.FUNCTION

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        statements = [*self.definition()]
        statements += commented("FUNCTION", self.signature, self.comment)
        statements.append(f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC")
        statements += [
            f"GRANT EXECUTE ON FUNCTION {self.signature} TO {quote(role)}" for role in self.executable_by
        ]
        if self.owner is None:
            return tuple(statements)
        return (
            take(self.signature, self.owner),
            *statements,
            give(self.signature, self.schema, self.owner),
        )

    def definition(self) -> tuple[str, ...]:
        """Return CREATE FUNCTION and the statement that pins search_path, without comment, grants and owner."""
        arguments = ", ".join(argument.declaration() for argument in self.arguments)
        head = [f"CREATE OR REPLACE FUNCTION {qualified(self.schema, self.name)}({arguments})"]
        head += [f" RETURNS {self.returns}", f" LANGUAGE {self.language}"]
        options = []
        if self.volatility != "VOLATILE":
            options.append(self.volatility)
        if self.parallel != "UNSAFE":
            options.append(f"PARALLEL {self.parallel}")
        if self.strict:
            options.append("STRICT")
        if self.security_definer:
            options.append("SECURITY DEFINER")
        if self.cost is not None:
            options.append(f"COST {self.cost}")
        if self.rows is not None:
            options.append(f"ROWS {self.rows}")
        if options:
            head.append(" " + " ".join(options))
        head += [f" SET {quote(name)} TO {value}" for name, value in self.settings]
        created = "\n".join([*head, f"AS {dollar_quoted(self.body)}"])
        return (created,) if self.pinned_to is None else (created, self._pin(self.pinned_to))

    def _pin(self, extensions: tuple[str, ...]) -> str:
        """Return the statement that pins search_path: it looks the schemas up when it runs; duplicates are harmless."""
        own = "quote_ident(current_schema())" if self.schema is None else sql_string(quote(self.schema))
        path = ["'pg_catalog'", own]
        if extensions:
            names = ", ".join(map(sql_string, extensions))
            path.append(
                "(SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY e.extname)"
                " FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
                f" WHERE e.extname IN ({names}))"
            )
        path.append("'pg_temp'")
        return (
            "DO $$\nBEGIN\n"
            f"    EXECUTE {sql_string(f'ALTER FUNCTION {self.signature} SET search_path TO ')}\n"
            f"        || concat_ws(', ', {', '.join(path)});\n"
            "END\n$$"
        )

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        reclaim = () if self.owner is None else (take(self.signature, self.owner),)
        return (*reclaim, f"DROP FUNCTION {self.signature}")

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        return replace(self, schema=schemas.get(self.schema, self.schema))
