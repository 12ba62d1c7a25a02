"""One run at a time on a database: an advisory lock that is asked for again and again, never waited for.

A session that waits inside `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY in the run that has the
lock waits for all snapshots: both would stand for ever. The lock has a connection of its own, which is never in a
transaction, because on Alembic's own connection it would begin one before Alembic, and the run would commit nothing.

When a run is killed, its lock is free at once, but its other session may still work, for as long as the server needs to
notice. So that session has a second lock, taken under the first: whoever comes next gets it when that work has ended.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from dbschema._retry import Pauses, Retry
from dbschema.migrations.errors import LockLost, RunnerBusy, pooled_connection
from dbschema.migrations.preflight import scalar
from dbschema.migrations.timeouts import KEEPALIVES, apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dbschema.connect.connection import Open

WAIT_SECONDS: Final = 60.0
"""How long a run waits for another one to end."""

KEY: Final = 0x6462_7363_6865_6D61
"""The key of the lock, within one database: the bytes of 'dbschema'."""

WORK_KEY: Final = KEY + 1
"""The key of the second lock, that of the session which works."""

_PAUSES: Final = Pauses(0.4, least=0.25)
_LOOKS: Final = 4
_TRY: Final = "SELECT pg_try_advisory_lock(%s)"
_HOLDER: Final = """
    SELECT a.pid, a.usename, a.application_name, host(a.client_addr) AS address, a.backend_start
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.classid = %s AND l.objid = %s
    """
# Our own are those of this database. It is not looked up: even that takes a lock, and could be refused in 50 ms.
_OWN: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = pg_backend_pid()
          AND l.classid = %s AND l.objid = %s)
    """
_PID: Final = "SELECT pg_backend_pid()"


@dataclass(frozen=True)
class Held:
    """The lock of a run while it is held.

    Args:
        connection: which holds it; in autocommit.
        place: the database in words.
        deadline: when waiting ends, by the monotonic clock.
        seconds: how long that was at first.
        waited: seconds until the lock was given.
    """

    connection: psycopg.Connection
    place: str
    deadline: float
    seconds: float
    waited: float = 0.0

    def join(self, work: psycopg.Connection, *, on_wait: Callable[[str], None] | None = None) -> None:
        """Take the second lock on `work`, which is left in no transaction.

        Raises:
            RunnerBusy: the session of an earlier run, whose process is gone, still works.
        """
        _take(work, WORK_KEY, self.place, deadline=self.deadline, seconds=self.seconds, on_wait=on_wait)

    def check(self, work: psycopg.Connection, done: Sequence[str]) -> None:
        """Raise where one of the two locks is not held any more; `work` is left in no transaction.

        Raises:
            LockLost: with the revisions `done`.
        """
        try:
            own = scalar(self.connection, _OWN, _parts(KEY)) and scalar(work, _OWN, _parts(WORK_KEY))
            work.commit()
        except psycopg.Error as error:
            raise LockLost(self.place, done) from error
        if not own:
            raise LockLost(self.place, done)


@contextmanager
def exclusive(
    another: Open,
    place: str,
    seconds: float = WAIT_SECONDS,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Held]:
    """Hold the lock of the database that `another` leads to; the server frees it when this connection ends, however it ends.

    Args:
        another: opens a connection of its own.
        place: the database in words, for the error.
        seconds: how long to wait for another run.
        on_wait: called once, with the holder in words, where there is one to wait for.

    Raises:
        RunnerBusy: another one held it all that time; names it.
        PooledConnection: a lock taken here would belong to somebody else by the next statement.
    """
    began = time.monotonic()
    with closing(another(autocommit=True)) as connection:
        check_session(another, connection, place)
        apply(connection, KEEPALIVES | {"idle_session_timeout": "0"})
        _take(connection, KEY, place, deadline=began + seconds, seconds=seconds, on_wait=on_wait)
        yield Held(connection, place, began + seconds, seconds, time.monotonic() - began)


def check_session(another: Open, connection: psycopg.Connection, place: str) -> None:
    """Raise where `connection`, which is in autocommit, is not one session of the server.

    A pooler gives its clients process ids of its own; where ours is the server's there is none. Behind one, either two of
    our connections have the same session, while one is in a transaction and the other is not, or one of them changes it.
    Nothing is set and no lock taken before this is known: it would stay in a session that serves others.

    Raises:
        PooledConnection: it is not.
    """
    first = scalar(connection, _PID)
    if connection.info.backend_pid == first:
        return
    with closing(another()) as other:
        for _ in range(_LOOKS):
            theirs = scalar(other, _PID)  # and stays in its transaction, which keeps that session from us
            ours = {scalar(connection, _PID) for _ in range(2)}
            other.rollback()
            # Asked twice in a row: a pool that goes round shows another session the second time.
            ours |= {scalar(connection, _PID) for _ in range(2)}
            if theirs == first or ours != {first}:
                raise pooled_connection(place)


def _take(
    connection: psycopg.Connection,
    key: int,
    place: str,
    *,
    deadline: float,
    seconds: float,
    on_wait: Callable[[str], None] | None,
) -> None:
    retry = Retry(_PAUSES, deadline - time.monotonic())
    while True:
        taken = scalar(connection, _TRY, (key,))
        connection.rollback()
        if taken:
            return
        if on_wait is not None:
            on_wait(_holder(connection, key))
            on_wait = None
        if not retry.again():
            raise RunnerBusy(place, _holder(connection, key), seconds)


def _parts(key: int) -> tuple[int, int]:
    return key >> 32, key & 0xFFFF_FFFF


def _holder(connection: psycopg.Connection, key: int) -> str:
    """Who has the lock, in words."""
    found = connection.execute(_HOLDER, _parts(key)).fetchone()
    connection.rollback()
    if found is None or found[0] is None:
        return "a session that has just ended"
    pid, user, application, address, since = found
    name = f" {application!r}" if application else ""
    of = f" of {user!r}" if user else ""
    at = f" from {address}" if address else ""
    begun = f", connected since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"process {pid}{name}{of}{at}{begun}"
