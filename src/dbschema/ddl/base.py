"""What all declared objects share: identity, order of creation, and how names and bodies are written as SQL."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import chain, count
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy.dialects import postgresql

from dbschema.identity import Identity, sql_string
from dbschema.naming import check_name

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
