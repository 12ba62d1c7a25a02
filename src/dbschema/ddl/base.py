"""What all declared objects share: identity, order of creation, and how names and bodies are written as SQL.

Giving a function to another role, and taking it back, with no more rights than a migrator has.

PostgreSQL lets a role that is no superuser give a function away only to a role that it may become, and that may create
objects in the schema. Who may create roles may lend itself both, so they are lent for the one statement: a migrator that
stayed a member would be let through by the policies that are meant for the other role, and see the rows of all tenants.
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


# Of the psycopg dialect's own parameter style, names would come with their percent signs doubled.
_preparer = postgresql.dialect(paramstyle="named").identifier_preparer  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class Phase(IntEnum):
    """The order of creation; dropping goes the other way. Tables stand between FUNCTION and TABLE_FUNCTION."""

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
    """An identifier as SQL, quoted where PostgreSQL needs it."""
    return _preparer.quote(name)


def qualified(schema: str | None, name: str) -> str:
    """An identifier with its schema, where it has one."""
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def dollar_quoted(body: str) -> str:
    """`body` between dollar quotes whose tag does not occur in it."""
    tags = chain(("$$",), (f"$body{number}$" for number in count(1)))
    # Where the body ends as the tag begins, the two together would close it too early.
    tag = next(tag for tag in tags if f"{body}{tag}".find(tag) == len(body))
    return f"{tag}{body}{tag}"


def commented(kind: str, name: str, comment: str | None) -> tuple[str, ...]:
    """Return the statement that comments an object; none without a comment."""
    return () if comment is None else (f"COMMENT ON {kind} {name} IS {sql_string(comment)}",)


def guarded(statement: str, kept: str) -> str:
    """A DO block that runs `statement`, and leaves the object with a notice where others still need it."""
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
        """What makes two declarations speak of the same object."""
        raise NotImplementedError

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that this object stands on, or None."""
        return None

    @property
    def order(self) -> Phase:
        """When it is created, among the others."""
        return self.phase

    def create(self) -> tuple[str, ...]:
        """The statements that make it, in order."""
        raise NotImplementedError

    def drop(self) -> tuple[str, ...]:
        """The statements that remove it, in order."""
        raise NotImplementedError

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """The same object with its schema replaced as `schemas` says (for a throw-away copy)."""
        del schemas
        return self


@dataclass(frozen=True)
class OnTable(DatabaseObject):
    """Something that stands on a table, and is named within it."""

    name: str
    table: str
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.kind, self.name, self.table)

    @property
    def identity(self) -> Identity:
        """The identity of the object, by which two declarations are compared."""
        return Identity(self.kind, self.schema, self.table, self.name)

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """Schema and name of the table that the object belongs to."""
        return self.schema, self.table

    @property
    def on(self) -> str:
        """The table or object that it is declared on, as SQL."""
        return qualified(self.schema, self.table)

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        return replace(self, schema=schemas.get(self.schema, self.schema))


# From PostgreSQL 16 on, who creates a role is a member of it that may hand it on, and not yet become it.
_MAY_BECOME = "pg_has_role({owner}, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"


def give(signature: str, schema: str | None, owner: str) -> str:
    """The statement that makes `owner` the owner of the function `signature`, which may be in the default schema."""
    name = quote(owner)
    place = f"{sql_string(qualified(None, schema))}::text" if schema else "quote_ident(current_schema())"
    room = f"has_schema_privilege({sql_string(owner)}, to_regnamespace(place)::oid, 'CREATE')"
    return _block(
        owner,
        [f"    place text := {place};", f"    room boolean := {room};"],
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
    """The statement that takes the function `signature` back from `owner`; where it is not his, it does nothing."""
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


def _block(owner: str, declarations: list[str], work: list[str], task: str, unless: str | None = None) -> str:
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
            *work,
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
    """A quoted identifier inside a string literal."""
    return name.replace("'", "''")
