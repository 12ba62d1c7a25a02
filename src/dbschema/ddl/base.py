"""Base of all declared objects: identity, order of creation, quoting, and the owner of a function.

A role that is not a superuser may transfer a function only to a role that it may SET ROLE to and that has CREATE on the
schema. A migrator with CREATEROLE can grant itself both, so the statements here grant them and revoke them again. The
membership must not stay: the policies of the other role would then show the migrator the rows of all tenants.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import chain, count
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy.dialects import postgresql

from dbschema.sql import Identity, check_name, sql_string

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


# With the default parameter style of the psycopg dialect, the preparer would double percent signs in names.
_preparer = postgresql.dialect(paramstyle="named").identifier_preparer  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class Phase(IntEnum):
    """The order of creation; objects are dropped in reverse. Tables come between FUNCTION and TABLE_FUNCTION."""

    EXTENSION = 10
    ROLE = 20
    FUNCTION = 30
    TABLE = 40
    TABLE_FUNCTION = 50
    ROW_SECURITY = 60
    POLICY = 70
    TRIGGER = 80
    GRANT = 90


def quote(name: str) -> str:
    """Return an identifier as SQL, quoted if PostgreSQL requires it."""
    return _preparer.quote(name)


def qualified(schema: str | None, name: str) -> str:
    """Return an identifier as SQL, with its schema if it has one."""
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def dollar_quoted(body: str) -> str:
    """Enclose `body` in dollar quotes whose tag does not occur in it."""
    tags = chain(("$$",), (f"$body{number}$" for number in count(1)))
    # If the body ends with the first characters of the tag, the quotes would close too early.
    tag = next(tag for tag in tags if f"{body}{tag}".find(tag) == len(body))
    return f"{tag}{body}{tag}"


def commented(kind: str, name: str, comment: str | None) -> tuple[str, ...]:
    """Return the COMMENT ON statement of an object; empty if it has no comment."""
    return () if comment is None else (f"COMMENT ON {kind} {name} IS {sql_string(comment)}",)


def guarded(statement: str, kept: str) -> str:
    """Return a DO block that runs `statement`; a dependency or a missing privilege becomes the notice `kept`."""
    notice = sql_string(kept)
    return (
        "DO $$\nBEGIN\n"
        f"    {statement};\n"
        "EXCEPTION\n"
        f"    WHEN dependent_objects_still_exist OR insufficient_privilege THEN RAISE NOTICE '%', {notice};\n"
        "END\n$$"
    )


@dataclass(frozen=True)
class DatabaseObject:
    """Base of all declared objects."""

    kind: ClassVar[str]
    phase: ClassVar[Phase]

    @property
    def identity(self) -> Identity:
        """The key of the object: two declarations with the same identity declare the same object."""
        raise NotImplementedError

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that the object belongs to, or None."""
        return None

    @property
    def order(self) -> Phase:
        """The phase in which the object is created."""
        return self.phase

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object, in order."""
        raise NotImplementedError

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object, in order."""
        raise NotImplementedError

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced by `schemas`, for a temporary copy of the models."""
        del schemas
        return self


@dataclass(frozen=True)
class OnTable(DatabaseObject):
    """Base of objects that belong to a table and whose name is unique within it."""

    name: str
    table: str
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.kind, self.name, self.table)

    @property
    def identity(self) -> Identity:
        """Kind, schema, table and name."""
        return Identity(self.kind, self.schema, self.table, self.name)

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that the object belongs to."""
        return self.schema, self.table

    @property
    def on(self) -> str:
        """The table as SQL."""
        return qualified(self.schema, self.table)

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        return replace(self, schema=schemas.get(self.schema, self.schema))


# From PostgreSQL 16 on, CREATE ROLE makes its caller a member with the ADMIN option, but without the SET option.
_MAY_BECOME = "pg_has_role({owner}, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"


def give(signature: str, schema: str | None, owner: str) -> str:
    """Return the statement that makes `owner` the owner of a function; schema None: the default schema."""
    name = quote(owner)
    place = f"{sql_string(qualified(None, schema))}::text" if schema else "quote_ident(current_schema())"
    may_create = f"has_schema_privilege({sql_string(owner)}, to_regnamespace(place)::oid, 'CREATE')"
    return _block(
        owner,
        [f"    place text := {place};", f"    room boolean := {may_create};"],
        [
            "    IF NOT room THEN",
            f"        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO {_inside(name)}';",
            "    END IF;",
            f"    ALTER FUNCTION {signature} OWNER TO {name};",
            "    IF NOT room THEN",
            f"        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM {_inside(name)}';",
            "    END IF;",
        ],
        f"give the function {signature} to {owner}",
    )


def take(signature: str, owner: str) -> str:
    """Return the statement that makes the current user the owner again; it does nothing unless `owner` is the owner."""
    return _block(
        owner,
        [],
        [f"    ALTER FUNCTION {signature} OWNER TO CURRENT_USER;"],
        f"take the function {signature} from {owner}",
        unless=(
            f"NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure({sql_string(signature)})"
            f" AND proowner = to_regrole({sql_string(quote(owner))}))"
        ),
    )


def _block(
    owner: str, declarations: list[str], statements: list[str], task: str, unless: str | None = None
) -> str:
    """Return a DO block that runs `statements` as a member of `owner`, and revokes a membership that it granted."""
    name = quote(owner)
    message = sql_string(f"{{}} may not {task}")
    return "\n".join(
        [
            "DO $$",
            "DECLARE",
            f"    member boolean := {_MAY_BECOME.format(owner=sql_string(owner))};",
            *declarations,
            "BEGIN",
            *([f"    IF {unless} THEN", "        RETURN;", "    END IF;"] if unless else []),
            "    IF NOT member THEN",
            f"        GRANT {name} TO CURRENT_USER;",
            "    END IF;",
            *statements,
            "    IF NOT member THEN",
            f"        REVOKE {name} FROM CURRENT_USER;",
            "    END IF;",
            "EXCEPTION",
            "    WHEN insufficient_privilege THEN",
            "        RAISE insufficient_privilege USING",
            f"            MESSAGE = replace({message}, '{{}}', current_user),",
            "            DETAIL = SQLERRM,",
            f"            HINT = format({sql_string(f'Have an administrator run: GRANT {name} TO %I')}, current_user);",
            "END",
            "$$",
        ]
    )


def _inside(name: str) -> str:
    """Escape a quoted identifier for use inside a string literal."""
    return name.replace("'", "''")
