"""Makes up rows that a table accepts, from its columns alone, so that a table that is added tomorrow is checked too."""

from __future__ import annotations

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

from dbschema.geography import GeographyPoint
from dbschema.types import Checked, CheckedText, JsonShape, LowerText, Pattern
from dbschema.verify.errors import Unmet

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

LONG_AGO = "2001-01-01 00:00:00+00"
"""What a client writes who would have a row look older than it is."""

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
    (GeographyPoint, "SRID=4326;POINT(0 0)"),
)


def token() -> str:
    """A word that no row has yet: lower case letters and digits."""
    return f"verify{uuid4().hex[:16]}"


def value_for(column: Column[object]) -> str:
    """A value that `column` accepts, as text that the server reads; unique where the type has room for that.

    Raises:
        Unmet: nothing is known about its type.
    """
    kind = column.type
    if isinstance(kind, Checked):
        return _for_checked(column, kind)
    if isinstance(kind, Uuid):
        return str(uuid4())
    if isinstance(kind, Enum):
        return str(kind.enums[0])
    if isinstance(kind, String):
        return token()[: kind.length]
    for type_, value in _BY_TYPE:
        if isinstance(kind, type_):
            return value
    raise Unmet(f"no value is known for column {column.name} of type {kind!r}")


def _for_checked(column: Column[object], kind: Checked) -> str:
    if isinstance(kind, CheckedText):
        members: Any = kind.enum
        return str(next(iter(members)))
    if isinstance(kind, JsonShape):
        return "[]" if kind.shapes == ("array",) else "{}"
    return _matching(column, kind.regex if isinstance(kind, Pattern) else "")


def wrong_value_for(column: Column[object]) -> str | None:
    """A value that the CHECK which the column's type carries must refuse; None where it carries none."""
    kind = column.type
    if isinstance(kind, JsonShape):
        return '"a word"'
    if isinstance(kind, LowerText):
        return token().upper()
    if isinstance(kind, CheckedText | Pattern):
        return "\t no such value \t"
    return "" if isinstance(kind, Checked) else None


def is_needed(column: Column[object]) -> bool:
    """Whether an INSERT must give the column a value."""
    return not column.nullable and column.server_default is None and column.computed is None


def _matching(column: Column[object], regex: str) -> str:
    word = token()
    for candidate in (word, word.upper(), "XTS", f"s3://{word}/", "192.0.2.1", "1", "v@example.com"):
        if re.search(regex, candidate):
            return candidate
    raise Unmet(f"no value is known for column {column.name} that matches {regex}")
