"""`bulk_load`: many rows into one table, all or none, as fast as COPY and under row security."""

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
"""How many rows are held in memory at a time."""


@dataclass(frozen=True)
class Loaded:
    """What a load has done.

    Args:
        table: the table.
        count: rows that were written, inserted or updated.
        skipped: rows that were not, since they were there already (`on_conflict="ignore"`) or a trigger dropped them.
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

    All rows are loaded, or none: a failure takes back what this call has done, and leaves the session usable.

    Args:
        session: whose transaction, role and tenant count. `rows` must not be read from it.
        model: the mapped class; it stands for one table.
        rows: mappings by attribute or column, instances of the model, or tuples with `columns`. Read once, as a stream.
            What a row does not name gets the model's or the database's default. The tenant is the session's.
        columns: the names of the tuples' columns.
        on_conflict: 'error'; 'ignore' leaves a row that is there as it is; 'update' gives it the columns of the new one.
        key: the columns of the unique constraint that says which row is there already; the tenant need not be named.
        block: how many rows are held in memory at a time.
        max_problems: how many bad rows an error names.
        progress: show a bar on standard error, if that is a terminal.
        on_progress: called after each block.

    Raises:
        BadRows: rows are wrong; it names them by number, from 1.
        LoadError: the call, the model or the session is not fit for loading.
        NoTransaction, NotMigrated, MissingPrivilege: the connection, the database or the role is not.
    """
    if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping)):
        raise WrongCall(f"Rows come as an iterable, not as {type(rows).__name__}", "Put them into a list")
    if block < 1 or max_problems < 1:
        raise WrongCall("'block' and 'max_problems' count from 1", "Give larger numbers")
    mapper, table = mapped(model)
    connection = _connection(session, mapper)
    driver_of(connection)
    blocks = _blocks(rows, block)
    total = len(rows) if isinstance(rows, Sequence) else None

    with (
        _all_or_nothing(connection),
        progress_bar(on_progress, table=table.name, show=progress, keep=True) as tell,
    ):
        target = find(connection, table)
        if isinstance(own := getattr(session, "tenant_id", None), UUID):
            # A session of one tenant stays that tenant's, whatever the setting has been changed to since.
            target = replace(target, tenant=own)
        staging = Staging(connection, target)
        wire = Wire(staging.raw, connection.dialect, staging.raw.info.encoding)
        shape = shape_of(mapper, table, target, wire)
        conflict_key = key_of(shape, on_conflict, key)
        packer = BatchEncoder(
            shape, Reader(shape, columns), limit=max_problems, same_columns=on_conflict == "update"
        )
        transfer = Transfer(
            connection=connection,
            staging=staging,
            blocks=packer.pack(blocks),
            writing=lambda: Writing(shape, target, staging, packer.staged, on_conflict, conflict_key),
            # An update has to meet a key that occurs twice within one statement, or it would not see it.
            in_portions=target.divisible and on_conflict != "update" and staging.can_overlap,
            sent=lambda sent: tell(Progress(table.name, sent, total, "sending")),
            limit=max_problems,
        )
        staging.create()
        count = transfer.run(
            lambda: packer.count and tell(Progress(table.name, packer.count, total, "writing"))
        )
        staging.drop()
        tell(Progress(table.name, packer.count, total, "done"))
    if on_conflict == "update":
        _expire(session, model)
    return Loaded(table.name, count, packer.count - count)


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
    """The same with psycopg's async connection; `rows` may come from an `async for`.

    Between two blocks other tasks have their turn; within one the loop waits (a few milliseconds for 1,000 rows).
    """

    def load(inner: Session | Connection) -> Loaded:
        return bulk_load(
            inner,
            model,
            _waiting(aiter(rows)) if isinstance(rows, AsyncIterable) else rows,
            columns=columns,
            on_conflict=on_conflict,
            key=key,
            block=block,
            max_problems=max_problems,
            progress=progress,
            on_progress=on_progress,
        )

    return await session.run_sync(load)


def _waiting(rows: AsyncIterator[Any]) -> Iterator[Any]:
    """An async iterator, read within SQLAlchemy's greenlet."""
    end = object()

    async def following() -> Any:
        return await anext(rows, end)

    while (row := await_only(following())) is not end:
        yield row


def _blocks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while block := list(islice(iterator, size)):
        yield block


def _connection(session: Session | scoped_session[Any] | Connection, mapper: Any) -> Connection:
    if isinstance(session, Connection):
        return session
    if session.autoflush:
        session.flush()  # rows may refer to objects that the session has not written yet
    return session.connection(bind_arguments={"mapper": mapper})


@contextmanager
def _all_or_nothing(connection: Connection) -> Iterator[None]:
    """A savepoint in the transaction that there is or that begins here; the caller commits it.

    Raises:
        NoTransaction: the connection is in autocommit mode.
    """
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    savepoint = connection.begin_nested()
    try:
        yield
    except BaseException:
        # A lost connection has taken its transaction along.
        if savepoint.is_active and not connection.invalidated:
            savepoint.rollback()
        raise
    savepoint.commit()


def _expire(session: Session | scoped_session[Any] | Connection, model: type[Any]) -> None:
    """Let the session read again what an upsert may have changed behind its back."""
    if isinstance(session, Connection):
        return
    for instance in list(session.identity_map.values()):
        if isinstance(instance, model) and instance not in session.dirty:
            session.expire(instance)
