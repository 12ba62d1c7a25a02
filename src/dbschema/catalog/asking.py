"""Questions to the server, one by one or many at once, and what it says when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def ask(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    """The rows that `query` gives; it has no parameters, so a percent sign is only that."""
    cursor.execute(query)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def ask_all(
    cursor: Any, queries: Sequence[str], meanwhile: Callable[[], None] | None = None
) -> Iterator[tuple[Sequence[Any], list[tuple[Any, ...]]]]:
    """Description and rows of each query, in order; the server answers one while the one before is being put together."""
    connection = getattr(cursor, "connection", None)
    if not isinstance(connection, psycopg.Connection) or not psycopg.Pipeline.is_supported():
        if meanwhile is not None:
            meanwhile()
        for query in queries:
            rows = ask(cursor, query)
            yield cursor.description, rows
        return
    with connection.pipeline():
        cursors = [
            connection.cursor(row_factory=tuple_row).execute(query, prepare=False) for query in queries
        ]
        if meanwhile is not None:
            meanwhile()
        for answering in cursors:
            rows = answering.fetchall()
            yield answering.description or (), rows


def reason(error: psycopg.Error) -> str:
    """What the server says, on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())
