"""Keyset pagination: cursors that name the last row of a page, and the conditions and limits of the next page.

A client receives a cursor as opaque text. The text contains the name of the order, the key of the last row and a checksum.
The checksum detects accidental changes and guesses; it is not a secret. A forged cursor only selects another page of the
rows that the client may see anyway: each part is parsed as a time, a number or an id, never as SQL.
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
    """A row of any model with `created_at` and `id`."""

    @property
    def created_at(self) -> datetime:
        """The time of creation."""

    @property
    def id(self) -> UUID:
        """The id of the row."""


@dataclass(frozen=True)
class TimeCursor:
    """The last row of a page that is ordered by `created_at` and `id`."""

    name: ClassVar[str] = "time"

    created_at: datetime
    id: UUID

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise BadCursor("has a time without a time zone")

    @classmethod
    def of(cls, row: Dated) -> Self:
        """Return the cursor that points behind `row`."""
        return cls(row.created_at, row.id)

    def __str__(self) -> str:
        return _write(self.name, self.created_at.astimezone(UTC).isoformat(), self.id)

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse the text of a cursor, as written by `str()`.

        Raises:
            BadCursor: the text is not such a cursor.
        """
        value, key = _read(cls.name, text)
        try:
            return cls(datetime.fromisoformat(value), key)
        except ValueError:
            raise BadCursor("holds no time") from None


@dataclass(frozen=True)
class DistanceCursor:
    """The last row of a page that is ordered by distance and `id`.

    It is valid only for the place from which the distances were measured.
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
        """Parse the text of a cursor, as written by `str()`.

        Raises:
            BadCursor: the text is not such a cursor.
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
        order, value, key = payload.decode("ascii").split("|")
        row_id = UUID(hex=key)
    except (ValueError, binascii.Error):
        raise BadCursor("cannot be read") from None
    if checksum != _checksum(payload) or _write(order, value, row_id) != text:
        raise BadCursor("was changed")
    if order != name:
        raise BadCursor(f"belongs to pages by {order}, and these are by {name}")
    return value, row_id


def _checksum(payload: bytes) -> bytes:
    return sha256(b"dbschema cursor\0" + payload).digest()[:_CHECKSUM_BYTES]


C = TypeVar("C", TimeCursor, DistanceCursor)


def page_size(limit: int) -> int:
    """Return `limit` if it is a valid page size.

    Raises:
        BadSearch: the limit is not a whole number from 1 to 1000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise BadSearch("limit", f"is {limit!r}", f"Give a whole number from 1 to {LARGEST_PAGE}")
    return limit


def cursor(kind: type[C], after: C | str | None) -> C | None:
    """Return `after` as a cursor of this kind; None: the first page.

    Raises:
        BadCursor: it is not such a cursor.
    """
    if isinstance(after, str):
        return kind.read(after)
    if after is not None and not isinstance(after, kind):
        raise BadCursor(f"is not a {kind.__name__} but of type {type(after).__name__}")
    return after


def newest_first(entity: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the order from the newest row on, which matches the indexes (…, created_at DESC, id)."""
    return entity.created_at.desc(), entity.id.asc()


def older_than(entity: Any, last: TimeCursor) -> ColumnElement[bool]:
    """Return the condition on the rows behind `last`, newest first.

    Time descends and id ascends, so that a row comparison cannot express the condition. The first part bounds the index
    scan; the second part only excludes rows of the same instant.
    """
    created_at: InstrumentedAttribute[Any] = entity.created_at
    return and_(created_at <= last.created_at, or_(created_at < last.created_at, entity.id > last.id))


def later_than(entity: Any, last: TimeCursor) -> ColumnElement[bool]:
    """Return the condition on the rows behind `last`, oldest first: a row comparison, which bounds the index scan."""
    return tuple_(entity.created_at, entity.id) > tuple_(last.created_at, last.id)
