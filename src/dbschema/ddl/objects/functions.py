"""A function, its arguments, and who may execute it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dbschema.ddl.objects.base import (
    DatabaseObject,
    Identity,
    Phase,
    commented,
    dollar_quoted,
    qualified,
    quote,
)
from dbschema.naming import check_name

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
        default = "" if self.default is None else f" DEFAULT {self.default}"
        return f"{quote(self.name)} {self.type}{default}"


@dataclass(frozen=True)
class Function(DatabaseObject):
    """A function. Nobody but its owner may execute it, unless a `Grant` says so.

    Args:
        name: its name, without schema.
        returns: the result, as SQL: 'trigger', 'uuid', 'SETOF incidents', 'TABLE (id uuid)'.
        body: the source, kept byte for byte.
        arguments: its arguments in order.
        language: 'plpgsql' or 'sql'.
        volatility: 'VOLATILE', 'STABLE' or 'IMMUTABLE'.
        parallel: 'UNSAFE', 'RESTRICTED' or 'SAFE'.
        strict: gives NULL for a NULL argument without being called.
        security_definer: runs with the rights of its owner.
        settings: parameters while it runs, as (name, value as SQL); a SECURITY DEFINER function pins search_path.
        owner: the role that owns it; None: whoever creates it.
        needs_tables: its signature speaks of tables (such as SETOF incidents), so that it is made after them.
        schema: None for the default schema.
        comment: COMMENT ON FUNCTION.
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
    owner: str | None = None
    needs_tables: bool = False
    schema: str | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        check_name("function", self.name, self.schema or "the default schema")

    @property
    def signature(self) -> str:
        """Name and argument types, as DROP and GRANT need them: `search(uuid, text)`, with the schema if there is one."""
        return (
            f"{qualified(self.schema, self.name)}({', '.join(argument.type for argument in self.arguments)})"
        )

    @property
    def identity(self) -> Identity:
        types = ", ".join(argument.type for argument in self.arguments)
        return Identity(self.kind, self.schema, "", f"{self.name}({types})")

    @property
    def order(self) -> Phase:
        return Phase.TABLE_FUNCTION if self.needs_tables else Phase.FUNCTION

    def create(self) -> tuple[str, ...]:
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
        if options:
            head.append(" " + " ".join(options))
        head += [f" SET {quote(name)} TO {value}" for name, value in self.settings]
        statements = ["\n".join([*head, f"AS {dollar_quoted(self.body)}"])]
        statements += commented("FUNCTION", self.signature, self.comment)
        statements.append(f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC")
        if self.owner is not None:
            statements.append(f"ALTER FUNCTION {self.signature} OWNER TO {quote(self.owner)}")
        return tuple(statements)

    def drop(self) -> tuple[str, ...]:
        return (f"DROP FUNCTION {self.signature}",)

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        return replace(self, schema=schemas.get(self.schema, self.schema))
