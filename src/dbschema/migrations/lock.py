"""One run at a time on a database: an advisory lock that is asked for again and again, never waited for.

A session that waits inside `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY in the run that has the
lock waits for all snapshots: both would stand for ever. The lock has a connection of its own, which is never in a
transaction, because on Alembic's own connection it would begin one before Alembic, and the run would commit nothing.

When a run is killed, its lock is free at once, but its other session may still work, for as long as the server needs to
notice. So that session has a second lock, taken under the first: whoever comes next gets it when that work has ended.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dbschema.migrations.errors import LockLost, PooledConnection, RunnerBusy
from dbschema.migrations.timeouts import KEEPALIVES, apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

WAIT_SECONDS: Final = 60.0
"""How long a run waits for another one to end."""

KEY: Final = 0x6462_7363_6865_6D61
"""The key of the lock, within one database: the bytes of 'dbschema'."""

WORK_KEY: Final = KEY + 1
"""The key of the second lock, that of the session which works."""

_PAUSE: Final = (0.1, 0.4)
_LOOKS: Final = 4
_TRY: Final = text("SELECT pg_try_advisory_lock(:key)")
_HOLDER: Final = text(
    """
    SELECT a.pid, a.usename, a.application_name, host(a.client_addr) AS address, a.backend_start
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.classid = :high AND l.objid = :low
    """
)
_OWN: Final = text(
    """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = pg_backend_pid()
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
          AND l.classid = :high AND l.objid = :low)
    """
)
_PID: Final = text("SELECT pg_backend_pid()")


@dataclass(frozen=True)
class Held:
    """The lock of a run while it is held.

    Args:
        connection: which holds it; in no transaction.
        place: the database in words.
        deadline: when waiting ends, by the monotonic clock.
        seconds: how long that was at first.
        waited: seconds until the lock was given.
    """

    connection: Connection
    place: str
    deadline: float
    seconds: float
    waited: float = 0.0

    def join(self, work: Connection, *, on_wait: Callable[[str], None] | None = None) -> None:
        """Take the second lock on `work`, which is left in no transaction.

        Raises:
            RunnerBusy: the session of an earlier run, whose process is gone, still works.
        """
        _take(work, WORK_KEY, self.place, deadline=self.deadline, seconds=self.seconds, on_wait=on_wait)

    def check(self, work: Connection, done: Sequence[str]) -> None:
        """Raise where one of the two locks is not held any more; `work` is left in no transaction.

        Raises:
            LockLost: with the revisions `done`.
        """
        try:
            own = self.connection.scalar(_OWN, _parts(KEY)) and work.scalar(_OWN, _parts(WORK_KEY))
            work.commit()  # Alembic's new version table, where it has just made one, must not go
        except (SQLAlchemyError, psycopg.Error) as error:
            raise LockLost(self.place, done) from error
        if not own:
            raise LockLost(self.place, done)


@contextmanager
def exclusive(
    engine: Engine,
    place: str,
    seconds: float = WAIT_SECONDS,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Held]:
    """Hold the lock of the database behind `engine`; the server frees it when this connection ends, however it ends.

    Args:
        engine: for a connection of its own.
        place: the database in words, for the error.
        seconds: how long to wait for another run.
        on_wait: called once, with the holder in words, where there is one to wait for.

    Raises:
        RunnerBusy: another one held it all that time; names it.
        PooledConnection: a lock taken here would belong to somebody else by the next statement.
    """
    began = time.monotonic()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        check_session(engine, connection, place)
        apply(connection, KEEPALIVES | {"idle_session_timeout": "0"})
        _take(connection, KEY, place, deadline=began + seconds, seconds=seconds, on_wait=on_wait)
        yield Held(connection, place, began + seconds, seconds, time.monotonic() - began)


def check_session(engine: Engine, connection: Connection, place: str) -> None:
    """Raise where `connection`, which is in autocommit, is not one session of the server.

    A pooler gives its clients process ids of its own; where ours is the server's there is none. Behind one, either two of
    our connections have the same session, while one is in a transaction and the other is not, or one of them changes it.
    Nothing is set and no lock taken before this is known: it would stay in a session that serves others.

    Raises:
        PooledConnection: it is not.
    """
    first = connection.scalar(_PID)
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection) and driver.info.backend_pid == first:
        return
    with engine.connect() as other:
        for _ in range(_LOOKS):
            theirs = other.scalar(_PID)  # and stays in its transaction, which keeps that session from us
            ours = {connection.scalar(_PID) for _ in range(2)}
            other.rollback()
            # Asked twice in a row: a pool that goes round shows another session the second time.
            ours |= {connection.scalar(_PID) for _ in range(2)}
            if theirs == first or ours != {first}:
                raise PooledConnection(place)


def _take(
    connection: Connection,
    key: int,
    place: str,
    *,
    deadline: float,
    seconds: float,
    on_wait: Callable[[str], None] | None,
) -> None:
    while True:
        taken = connection.scalar(_TRY, {"key": key})
        connection.rollback()
        if taken:
            return
        if on_wait is not None:
            on_wait(_holder(connection, key))
            on_wait = None
        if time.monotonic() >= deadline:
            raise RunnerBusy(place, _holder(connection, key), seconds)
        time.sleep(random.uniform(*_PAUSE))  # noqa: S311  runners shall not ask in step; nothing secret


def _parts(key: int) -> dict[str, int]:
    return {"high": key >> 32, "low": key & 0xFFFF_FFFF}


def _holder(connection: Connection, key: int) -> str:
    """Who has the lock, in words."""
    found = connection.execute(_HOLDER, _parts(key)).first()
    connection.rollback()
    if found is None or found.pid is None:
        return "a session that has just ended"
    name = f" {found.application_name!r}" if found.application_name else ""
    user = f" of {found.usename!r}" if found.usename else ""
    address = f" from {found.address}" if found.address else ""
    since = f", connected since {found.backend_start:%Y-%m-%d %H:%M:%S %Z}" if found.backend_start else ""
    return f"process {found.pid}{name}{user}{address}{since}"
