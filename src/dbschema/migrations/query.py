"""A question to a database that has one value for its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


def scalar(connection: psycopg.Connection, query: LiteralString, values: Sequence[object] = ()) -> Any:
    """The one value that `query` gives."""
    row = connection.execute(query, values or None).fetchone()
    return None if row is None else row[0]
