"""What names an object of a database, and how a text stands in SQL: for those who do without SQLAlchemy as well."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """Which object this is: kind, schema (None: the default schema), table ('' where it stands on none), name."""

    kind: str
    schema: str | None
    table: str
    name: str


def sql_string(value: str) -> str:
    """`value` as a SQL string literal, for a server with standard_conforming_strings on (the default)."""
    return "'" + value.replace("'", "''") + "'"
