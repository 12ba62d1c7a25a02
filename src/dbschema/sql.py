"""Identify, name and quote objects of a database, without importing SQLAlchemy.

PostgreSQL silently truncates an identifier of more than 63 bytes, so that two long names can become equal, and a
revision then drops the wrong object. A longer name is therefore rejected when it is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dbschema.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import MetaData


class Identity(NamedTuple):
    """The identity of an object: kind, schema (None: the default schema), table ('' if it belongs to no table), name."""

    kind: str
    schema: str | None
    table: str
    name: str


def sql_string(value: str) -> str:
    """Quote a value as a SQL string literal, for a server with standard_conforming_strings on (the default)."""
    return "'" + value.replace("'", "''") + "'"


NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "idx_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

MAX_NAME_BYTES = 63


def check_name(kind: str, name: str, place: str) -> str:
    """Return `name`, or raise `DeclarationError` if it has more than 63 bytes."""
    if len(name.encode()) > MAX_NAME_BYTES:
        raise DeclarationError(
            f"The name of {kind} {name!r} on {place} has {len(name.encode())} bytes, and PostgreSQL keeps 63",
            "Give it a shorter name",
        )
    return name


def names_of(metadata: MetaData) -> Iterator[tuple[str, str, str]]:
    """Yield each name of an object in `metadata` as (kind, name, place).

    A name that the convention generates is complete, before SQLAlchemy shortens it.
    """
    for table in metadata.tables.values():
        yield "table", table.name, table.schema or "the default schema"
        for column in table.columns:
            yield "column", column.name, table.name
        for constraint in table.constraints:
            if constraint.name is not None:
                yield "constraint", str(constraint.name), table.name
        for index in table.indexes:
            if index.name is not None:
                yield "index", str(index.name), table.name


def check_names(metadata: MetaData) -> None:
    """Raise `DeclarationError` for the first name in `metadata` that PostgreSQL would truncate."""
    for kind, name, place in names_of(metadata):
        check_name(kind, name, place)
