"""COPY and pipelined statements over psycopg's connections, sync or async.

Async connections are awaited within SQLAlchemy's greenlet.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from dbschema._sqlalchemy import await_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


@contextmanager
def copying(
    raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], statement: str, types: Sequence[str]
) -> Iterator[Callable[[Iterable[Sequence[Any]]], None]]:
    """Run a COPY; yield the function that sends rows."""
    if isinstance(raw, psycopg.Connection):
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)

            def send(rows: Iterable[Sequence[Any]]) -> None:
                write_row = copy.write_row
                for row in rows:
                    write_row(row)

            yield send
        return

    # Not `async with`: reading the rows between two blocks may itself await.
    context = raw.cursor().copy(statement)
    async_copy = await_only(context.__aenter__())
    async_copy.set_types(types)

    async def send_async(rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            await async_copy.write_row(row)

    try:
        yield lambda rows: await_only(send_async(rows))
    except BaseException as error:
        await_only(context.__aexit__(type(error), error, error.__traceback__))
        raise
    await_only(context.__aexit__(None, None, None))


class StatementFailed(Exception):
    """The statement failed, not the concurrent work; `error` is psycopg's error."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(error)
        self.error = error


def overlapping(
    raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    statement: str,
    meanwhile: Callable[[], object],
) -> int:
    """Send a statement, call `meanwhile`, then wait for the statement; return the number of rows that it wrote."""
    failure: BaseException | None = None
    try:
        with _pipeline(raw) as send:
            written = send(statement)
            try:
                meanwhile()
            except BaseException as error:  # raised again below, when the connection is free
                failure = error
    except psycopg.Error as error:
        if failure is None:
            raise StatementFailed(error) from None
    finally:
        # After the loss of the server the connection may stay in pipeline mode, where it cannot be used.
        if not raw.closed and raw.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF:
            raw.pgconn.finish()
    if failure is not None:
        raise failure
    return written()


@contextmanager
def _pipeline(
    raw: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
) -> Iterator[Callable[[str], Callable[[], int]]]:
    """Send statements without waiting; the end of the block waits.

    The function for a statement returns a function that returns its number of rows, after the block.
    """
    cursor: Any = raw.cursor()
    pipeline: Any = raw.pipeline()
    if isinstance(raw, psycopg.Connection):
        with pipeline:
            yield lambda statement: _rows(cursor.execute(statement, prepare=False))
        return

    await_only(pipeline.__aenter__())
    try:
        yield lambda statement: _rows(await_only(cursor.execute(statement, prepare=False)))
    finally:
        await_only(pipeline.__aexit__(None, None, None))


def _rows(cursor: Any) -> Callable[[], int]:
    return lambda: int(cursor.rowcount)
