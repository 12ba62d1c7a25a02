"""The SQL of the checks: names of tables and columns are quoted here, and values are UUIDs, literals of ours or placeholders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table


def named(table: Table) -> str:
    """The table's name as SQL."""
    return qualified(table.schema, table.name)


def select(table: Table, what: str, where: str = "true") -> str:
    """SELECT of some expression from the rows that a condition names."""
    return f"SELECT {what} FROM {named(table)} WHERE {where}"  # noqa: S608  see the module's docstring


def insert(table: Table, columns: Iterable[str]) -> str:
    """INSERT with a placeholder for each column."""
    names = ", ".join(quote(name).replace("%", "%%") for name in columns)
    values = ", ".join(f"%({name})s" for name in columns)
    return f"INSERT INTO {named(table)} ({names}) VALUES ({values})"  # noqa: S608  see the module's docstring


def update(table: Table, assignment: str, where: str) -> str:
    """UPDATE of the rows that a condition names."""
    return f"UPDATE {named(table)} SET {assignment} WHERE {where}"  # noqa: S608  see the module's docstring


def delete(table: Table, where: str) -> str:
    """DELETE of the rows that a condition names."""
    return f"DELETE FROM {named(table)} WHERE {where}"  # noqa: S608  see the module's docstring
