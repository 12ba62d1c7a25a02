"""`bulk_load`: load many rows into one table, all or none, over COPY and under row-level security."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection

from dbschema._progress import Listener, Progress, progress_bar
from dbschema._sqlalchemy import await_only
from dbschema.loading.batches import BatchEncoder
from dbschema.loading.encoders import Wire
from dbschema.loading.errors import WrongCall, no_transaction
from dbschema.loading.fields import mapped, shape_of
from dbschema.loading.reading import Reader
from dbschema.loading.staging import Staging, driver_of
from dbschema.loading.target import find
from dbschema.loading.transfer import Transfer
from dbschema.loading.writing import OnConflict, Writing, key_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

BLOCK = 1_000
"""The number of rows in memory at a time."""


@dataclass(frozen=True)
class Loaded:
    """The result of a load.

    Args:
        table: the table.
        count: the number of rows inserted or updated.
        skipped: the number of rows not written: the table had them (`on_conflict="ignore"`), or a trigger dropped them.
    """

    table: str
    count: int
    skipped: int = 0


def bulk_load(
    session: Session | scoped_session[Any] | Connection,
    model: type[Any],
    rows: Iterable[Any],
    *,
    columns: Sequence[str] | None = None,
    on_conflict: OnConflict = "error",
    key: Sequence[str] | None = None,
    block: int = BLOCK,
    max_problems: int = 10,
    progress: bool = False,
    on_progress: Listener | None = None,
) -> Loaded:
    """Load rows into the table of a model, in the session's transaction; the caller commits.

    All rows are loaded, or none: a failure rolls back to a savepoint and leaves the session usable.

    Args:
        session: the session or connection; its transaction, role and tenant apply. `rows` must not be read from it.
        model: the mapped class, of exactly one table.
        rows: mappings by attribute or column, instances of the model, or tuples with `columns`. Read once, as a stream.
            A column that a row omits gets the model's or the database's default. The tenant is the session's.
        columns: the names of the tuples' columns.
        on_conflict: 'error'; 'ignore' keeps the existing row; 'update' sets the new row's columns in the existing row.
        key: the columns of the unique constraint that identifies the existing row; the tenant can be left out.
        block: the number of rows in memory at a time.
        max_problems: the maximum number of bad rows in an error.
        progress: show a bar on standard error, if that is a terminal.
        on_progress: called after each block.

    Raises:
        BadRows: rows are invalid; the error names them by number, from 1.
        LoadError: the arguments, the model or the session cannot be used for loading.
        NoTransaction: the connection is in autocommit mode.
        NotMigrated: the database lacks the table or a column.
        MissingPrivilege: the role lacks a privilege.
    """
    if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping)):
        raise WrongCall(f"'rows' must be an iterable of rows, not {type(rows).__name__}", "Pass a list")
    if block < 1 or max_problems < 1:
        raise WrongCall("'block' and 'max_problems' must be at least 1", "Pass larger numbers")
    mapper, table = mapped(model)
    connection = _connection(session, mapper)
    driver_of(connection)
    blocks = _blocks(rows, block)
    total = len(rows) if isinstance(rows, Sequence) else None

    with (
        _all_or_nothing(connection),
        progress_bar(on_progress, table=table.name, show=progress, keep=True) as notify,
    ):
        target = find(connection, table)
        if isinstance(own := getattr(session, "tenant_id", None), UUID):
            # The session's own tenant applies, even if the setting was changed since.
            target = replace(target, tenant=own)
        staging = Staging(connection, target)
        wire = Wire(staging.raw, connection.dialect, staging.raw.info.encoding)
        shape = shape_of(mapper, table, target, wire)
        conflict_key = key_of(shape, on_conflict, key)
        encoder = BatchEncoder(
            shape, Reader(shape, columns), limit=max_problems, same_columns=on_conflict == "update"
        )
        transfer = Transfer(
            connection=connection,
            staging=staging,
            blocks=encoder.encode(blocks),
            writing=lambda: Writing(shape, target, staging, encoder.staged, on_conflict, conflict_key),
            # PostgreSQL detects a key that occurs twice in an upsert only within one statement.
            in_portions=target.divisible and on_conflict != "update" and staging.can_overlap,
            on_sent=lambda sent: notify(Progress(table.name, sent, total, "sending")),
            limit=max_problems,
        )
        staging.create()
        count = transfer.run(
            lambda: encoder.count and notify(Progress(table.name, encoder.count, total, "writing"))
        )
        staging.drop()
        notify(Progress(table.name, encoder.count, total, "done"))
    if on_conflict == "update":
        _expire(session, model)
    return Loaded(table.name, count, encoder.count - count)


async def async_bulk_load(
    session: AsyncSession | AsyncConnection,
    model: type[Any],
    rows: Iterable[Any] | AsyncIterable[Any],
    *,
    columns: Sequence[str] | None = None,
    on_conflict: OnConflict = "error",
    key: Sequence[str] | None = None,
    block: int = BLOCK,
    max_problems: int = 10,
    progress: bool = False,
    on_progress: Listener | None = None,
) -> Loaded:
    """Load rows over psycopg's async connection; `rows` may be an async iterable. See `bulk_load`.

    Other tasks can run between two blocks; a block occupies the event loop (a few milliseconds for 1,000 rows).
    """

    def load(inner: Session | Connection) -> Loaded:
        return bulk_load(
            inner,
            model,
            _synchronous(aiter(rows)) if isinstance(rows, AsyncIterable) else rows,
            columns=columns,
            on_conflict=on_conflict,
            key=key,
            block=block,
            max_problems=max_problems,
            progress=progress,
            on_progress=on_progress,
        )

    return await session.run_sync(load)


def _synchronous(rows: AsyncIterator[Any]) -> Iterator[Any]:
    """Iterate over an async iterator within SQLAlchemy's greenlet."""
    end = object()

    async def next_row() -> Any:
        return await anext(rows, end)

    while (row := await_only(next_row())) is not end:
        yield row


def _blocks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        yield block


def _connection(session: Session | scoped_session[Any] | Connection, mapper: Any) -> Connection:
    if isinstance(session, Connection):
        return session
    if session.autoflush:
        session.flush()  # rows may refer to pending objects of the session
    return session.connection(bind_arguments={"mapper": mapper})


@contextmanager
def _all_or_nothing(connection: Connection) -> Iterator[None]:
    """Open a savepoint in the connection's transaction, which begins here if needed; the caller commits it.

    Raises:
        NoTransaction: the connection is in autocommit mode.
    """
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    savepoint = connection.begin_nested()
    try:
        yield
    except BaseException:
        # The transaction of a lost connection has ended.
        if savepoint.is_active and not connection.invalidated:
            savepoint.rollback()
        raise
    savepoint.commit()


def _expire(session: Session | scoped_session[Any] | Connection, model: type[Any]) -> None:
    """Expire unmodified objects of the model, because an upsert may have changed their rows."""
    if isinstance(session, Connection):
        return
    for instance in list(session.identity_map.values()):
        if isinstance(instance, model) and instance not in session.dirty:
            session.expire(instance)
