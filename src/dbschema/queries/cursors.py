"""Where a page ended, as a value that goes to a client as opaque text and comes back checked.

The text holds the order's name, the key of the last row and a checksum. The checksum finds accidents and guesses; it is no
secret. Whoever forges a cursor asks for another page of the rows that he may see, which is why every part is read as a
time, a number or an id, and never as SQL.

Pages by key: where a page goes on, and how long it is.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import and_, or_, tuple_

from dbschema.ddl.search import LARGEST_PAGE
from dbschema.queries.errors import BadCursor, BadSearch

if TYPE_CHECKING:
    from typing import Self

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute


_LONGEST = 200
_CHECKSUM_BYTES = 6


class Dated(Protocol):
    """A row that is put in order by its time: of any model with `created_at` and `id`."""

    @property
    def created_at(self) -> datetime:
        """The time of the row."""

    @property
    def id(self) -> UUID:
        """The id of the row."""


@dataclass(frozen=True)
class TimeCursor:
    """The last row of a page that is ordered by `created_at`, rows of the same instant by `id`."""

    name: ClassVar[str] = "time"

    created_at: datetime
    id: UUID

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise BadCursor("has a time without a time zone")

    @classmethod
    def of(cls, row: Dated) -> Self:
        """The cursor behind `row`."""
        return cls(row.created_at, row.id)

    def __str__(self) -> str:
        return _write(self.name, self.created_at.astimezone(UTC).isoformat(), self.id)

    @classmethod
    def read(cls, text: str) -> Self:
        """The cursor that `str()` has written.

        Raises:
            BadCursor: it is something else.
        """
        value, key = _read(cls.name, text)
        try:
            return cls(datetime.fromisoformat(value), key)
        except ValueError:
            raise BadCursor("holds no time") from None


@dataclass(frozen=True)
class DistanceCursor:
    """The last row of a page that is ordered by distance, rows as far as each other by `id`.

    It belongs to the place from which the distances were measured.
    """

    name: ClassVar[str] = "distance"

    metres: float
    id: UUID

    def __post_init__(self) -> None:
        if not isfinite(self.metres) or self.metres < 0:
            raise BadCursor("holds no distance")

    def __str__(self) -> str:
        return _write(self.name, self.metres.hex(), self.id)

    @classmethod
    def read(cls, text: str) -> Self:
        """The cursor that `str()` has written.

        Raises:
            BadCursor: it is something else.
        """
        value, key = _read(cls.name, text)
        try:
            return cls(float.fromhex(value), key)
        except (ValueError, OverflowError):
            raise BadCursor("holds no distance") from None


def _write(name: str, value: str, key: UUID) -> str:
    payload = f"{name}|{value}|{key.hex}".encode()
    return urlsafe_b64encode(_checksum(payload) + payload).rstrip(b"=").decode()


def _read(name: str, text: str) -> tuple[str, UUID]:
    if len(text) > _LONGEST:
        raise BadCursor("is too long")
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        checksum, payload = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
        found, value, key = payload.decode("ascii").split("|")
        read = UUID(hex=key)
    except (ValueError, binascii.Error):
        raise BadCursor("cannot be read") from None
    if checksum != _checksum(payload) or _write(found, value, read) != text:
        raise BadCursor("was changed")
    if found != name:
        raise BadCursor(f"belongs to pages by {found}, and these are by {name}")
    return value, read


def _checksum(payload: bytes) -> bytes:
    return sha256(b"dbschema cursor\0" + payload).digest()[:_CHECKSUM_BYTES]


C = TypeVar("C", TimeCursor, DistanceCursor)


def page_size(limit: int) -> int:
    """`limit`, if it is one.

    Raises:
        BadSearch: it is none from 1 to 1000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise BadSearch("limit", f"is {limit!r}", f"Give a whole number from 1 to {LARGEST_PAGE}")
    return limit


def cursor(kind: type[C], after: C | str | None) -> C | None:
    """`after` as a cursor of this kind.

    Raises:
        BadCursor: it is none.
    """
    if isinstance(after, str):
        return kind.read(after)
    if after is not None and not isinstance(after, kind):
        raise BadCursor(f"is no {kind.__name__} but of type {type(after).__name__}")
    return after


def newest_first(entity: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The order of pages from the newest row on, as indexes have it: (…, created_at DESC, id)."""
    return entity.created_at.desc(), entity.id.asc()


def older_than(entity: Any, last: TimeCursor) -> ColumnElement[bool]:
    """The rows behind `last`, newest first.

    Time goes down and id goes up, so no comparison of rows says it. The first part alone bounds the scan of the index; the
    second only takes out rows of the same instant.
    """
    created_at: InstrumentedAttribute[Any] = entity.created_at
    return and_(created_at <= last.created_at, or_(created_at < last.created_at, entity.id > last.id))


def later_than(entity: Any, last: TimeCursor) -> ColumnElement[bool]:
    """The rows behind `last`, oldest first: one comparison of rows, which is a bound of the index as it stands."""
    return tuple_(entity.created_at, entity.id) > tuple_(last.created_at, last.id)
