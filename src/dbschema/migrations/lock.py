"""Allow one run at a time on a database, with an advisory lock that is polled.

A session that waits in `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY in the run that holds the lock waits
for all snapshots: both would wait forever. The lock has its own connection outside any transaction. On Alembic's connection
it would begin a transaction before Alembic does, and the run would commit nothing.

When a run is killed, its lock is free at once, but the session that executes the revisions may continue until the server
notices. So that session holds a second lock, acquired under the first. The next run gets it when that session has ended.
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
"""The default number of seconds that a run waits for another run."""

KEY: Final = 0x6462_7363_6865_6D61
"""The key of the lock, within one database: the bytes of 'dbschema'."""

WORK_KEY: Final = KEY + 1
"""The key of the second lock, held by the session that executes the revisions."""

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
# The locks of our sessions belong to this database. Do not look up its oid: that needs a lock, which could time out after 50 ms.
_OWN: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = pg_backend_pid()
          AND l.classid = %s AND l.objid = %s)
    """
_PID: Final = "SELECT pg_backend_pid()"


@dataclass(frozen=True)
class Held:
    """The migration lock while a run holds it.

    Args:
        connection: the connection that holds the lock; in autocommit mode.
        place: the description of the database.
        deadline: the end of the wait, by the monotonic clock.
        seconds: the whole time to wait, in seconds.
        waited: seconds until the run acquired the lock.
    """

    connection: psycopg.Connection
    place: str
    deadline: float
    seconds: float
    waited: float = 0.0

    def join(self, work: psycopg.Connection, *, on_wait: Callable[[str], None] | None = None) -> None:
        """Acquire the second lock on `work`. Leaves `work` outside a transaction.

        Raises:
            RunnerBusy: the session of an earlier run is still active, although its process has ended.
        """
        _take(work, WORK_KEY, self.place, deadline=self.deadline, seconds=self.seconds, on_wait=on_wait)

    def check(self, work: psycopg.Connection, done: Sequence[str]) -> None:
        """Check that the run still holds both locks. Leaves `work` outside a transaction.

        Raises:
            LockLost: a lock is lost; contains the revisions `done`.
        """
        try:
            own = scalar(self.connection, _OWN, _key_parts(KEY)) and scalar(work, _OWN, _key_parts(WORK_KEY))
            work.commit()
        except psycopg.Error as error:
            raise LockLost(self.place, done) from error
        if not own:
            raise LockLost(self.place, done)


@contextmanager
def exclusive(
    opener: Open,
    place: str,
    seconds: float = WAIT_SECONDS,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Held]:
    """Hold the migration lock on a new connection. The server releases the lock when this connection ends.

    Args:
        opener: opens a connection to the database.
        place: the description of the database, for errors.
        seconds: the time to wait for another run, in seconds.
        on_wait: called once, with a description of the holder, if this run has to wait.

    Raises:
        RunnerBusy: another run held the lock until the end of the wait; names the holder.
        PooledConnection: a pooler would assign the session and its lock to another client.
    """
    began = time.monotonic()
    with closing(opener(autocommit=True)) as connection:
        check_session(opener, connection, place)
        apply(connection, KEEPALIVES | {"idle_session_timeout": "0"})
        _take(connection, KEY, place, deadline=began + seconds, seconds=seconds, on_wait=on_wait)
        yield Held(connection, place, began + seconds, seconds, time.monotonic() - began)


def check_session(opener: Open, connection: psycopg.Connection, place: str) -> None:
    """Check that `connection`, which is in autocommit mode, keeps one session of the server.

    A pooler reports its own process ids to its clients. If the reported id is that of the server, there is no pooler. Behind a
    pooler in transaction mode, either two connections share a session (one of them in a transaction), or the session of one
    connection changes. This check comes before any setting or lock, which would stay in a session of other clients.

    Raises:
        PooledConnection: the session is shared, or changes.
    """
    first = scalar(connection, _PID)
    if connection.info.backend_pid == first:
        return
    with closing(opener()) as other:
        for _ in range(_LOOKS):
            theirs = scalar(other, _PID)  # stays in its transaction and so keeps its session
            ours = {scalar(connection, _PID) for _ in range(2)}
            other.rollback()
            # Query twice in a row: a round-robin pool shows another session the second time.
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
        acquired = scalar(connection, _TRY, (key,))
        connection.rollback()
        if acquired:
            return
        if on_wait is not None:
            on_wait(_holder(connection, key))
            on_wait = None
        if not retry.again():
            raise RunnerBusy(place, _holder(connection, key), seconds)


def _key_parts(key: int) -> tuple[int, int]:
    return key >> 32, key & 0xFFFF_FFFF


def _holder(connection: psycopg.Connection, key: int) -> str:
    """Describe the session that holds the lock."""
    row = connection.execute(_HOLDER, _key_parts(key)).fetchone()
    connection.rollback()
    if row is None or row[0] is None:
        return "a session that has just ended"
    pid, user, application, address, since = row
    name = f" {application!r}" if application else ""
    of = f" of {user!r}" if user else ""
    at = f" from {address}" if address else ""
    begun = f", connected since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"process {pid}{name}{of}{at}{begun}"
