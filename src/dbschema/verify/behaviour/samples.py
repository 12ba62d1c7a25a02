"""Create sample values for the columns of any table, and the SQL of the checks.

In the SQL, names of tables and columns are quoted; values are UUIDs, literals of this package or placeholders.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)
from sqlalchemy.dialects.postgresql import CIDR, INET

from dbschema.ddl.base import qualified, quote
from dbschema.orm.types import SAMPLE, Checked, Pattern
from dbschema.verify.report import Unmet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Table
    from sqlalchemy.types import TypeEngine


LONG_AGO = "2001-01-01 00:00:00+00"
"""A forged `updated_at` that makes a row look older."""

_BY_TYPE: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Boolean, "true"),
    (Integer, "1"),
    (Float, "1"),
    (Numeric, "1"),
    (DateTime, LONG_AGO),
    (Date, "2001-01-01"),
    (Time, "00:00"),
    (Interval, "1 day"),
    (LargeBinary, "\\x00"),
    (ARRAY, "{}"),
    (JSON, "{}"),
    (INET, "192.0.2.1"),
    (CIDR, "192.0.2.0/24"),
)


def token() -> str:
    """Return a new word of lower case letters and digits."""
    return f"verify{uuid4().hex[:16]}"


def value_for(column: Column[object]) -> str:
    """Return a value that `column` accepts, as input text of the server; unique for types with enough values.

    The value is the sample of the column (`info`), else that of its type (`sample()`), else derived from the type.

    Raises:
        Unmet: the column has no sample, and its type is not supported.
    """
    kind = column.type
    sample = column.info.get(SAMPLE)
    if sample is None and (of_type := getattr(kind, "sample", None)) is not None:
        sample = of_type()
    if sample is not None and (written := as_text(sample)) is not None:
        return written
    if isinstance(kind, Checked):
        return _matching(column, kind.regex if isinstance(kind, Pattern) else "")
    if isinstance(kind, Uuid):
        return str(uuid4())
    if isinstance(kind, Enum):
        return str(kind.enums[0])
    if isinstance(kind, String):
        return token()[: kind.length]
    for type_, value in _BY_TYPE:
        if isinstance(kind, type_):
            return value
    raise Unmet(
        f"no value is known for column {column.name} of type {kind!r}; give the column info={{{SAMPLE!r}: …}}"
    )


def as_text(value: Any) -> str | None:
    """Convert a value of `info`, or the result of a function, to input text of the server; None stays None."""
    if callable(value):
        value = value()
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return str(value)


def is_needed(column: Column[object]) -> bool:
    """Return whether an INSERT must contain the column."""
    return not column.nullable and column.server_default is None and column.computed is None


def _matching(column: Column[object], regex: str) -> str:
    word = token()
    for candidate in (word, word.upper(), "1"):
        if re.search(regex, candidate):
            return candidate
    raise Unmet(
        f"no value is known for column {column.name} that matches {regex}; give the column info={{{SAMPLE!r}: …}}"
    )


def named(table: Table) -> str:
    """Return the table's name as SQL."""
    return qualified(table.schema, table.name)


def select(table: Table, what: str, where: str = "true") -> str:
    """Return a SELECT of an expression from the rows that meet a condition."""
    return f"SELECT {what} FROM {named(table)} WHERE {where}"  # noqa: S608  see the module's docstring


def insert(table: Table, columns: Iterable[str]) -> str:
    """Return an INSERT with a placeholder for each column."""
    names = ", ".join(quote(name).replace("%", "%%") for name in columns)
    values = ", ".join(f"%({name})s" for name in columns)
    return f"INSERT INTO {named(table)} ({names}) VALUES ({values})"  # noqa: S608  see the module's docstring


def update(table: Table, assignment: str, where: str) -> str:
    """Return an UPDATE of the rows that meet a condition."""
    return f"UPDATE {named(table)} SET {assignment} WHERE {where}"  # noqa: S608  see the module's docstring


def delete(table: Table, where: str) -> str:
    """Return a DELETE of the rows that meet a condition."""
    return f"DELETE FROM {named(table)} WHERE {where}"  # noqa: S608  see the module's docstring
