"""A value that a column accepts, as an application would give it; new each time where the type has room for that."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    Time,
    Uuid,
)

from dbschema.orm.geography import GeographyPoint, GeoPoint
from dbschema.orm.types import CheckedText, JsonShape
from dbschema.verify.behaviour.specimens import value_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column

BERN = GeoPoint(7.4474, 46.948)

_BY_TYPE: tuple[tuple[type[Any], Callable[[str], Any]], ...] = (
    (JsonShape, json.loads),
    (JSON, json.loads),
    (Boolean, lambda _: True),
    (Integer, int),
    (Float, float),
    (Numeric, Decimal),
    (DateTime, lambda _: datetime.now(UTC)),
    (Date, lambda _: date.today()),  # noqa: DTZ011  a day, whose zone does not matter
    (Time, lambda _: time(12)),
    (Interval, lambda _: timedelta(days=1)),
    (LargeBinary, lambda _: b"\x00"),
    (ARRAY, lambda _: []),
    (Uuid, UUID),
    (GeographyPoint, lambda _: BERN),
)


def example(column: Column[Any]) -> Any:
    """A value for `column`.

    Raises:
        Unmet: nothing is known about its type.
    """
    kind = column.type
    written = value_for(column)
    if isinstance(kind, CheckedText):
        return kind.python_value(written)
    for type_, read in _BY_TYPE:
        if isinstance(kind, type_):
            return read(written)
    return written
