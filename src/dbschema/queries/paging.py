"""Pages by key: where a page goes on, and how long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import and_, or_, tuple_

from dbschema.ddl.search import LARGEST_PAGE
from dbschema.queries.cursors import DistanceCursor, TimeCursor
from dbschema.queries.errors import BadCursor, BadSearch

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute

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
