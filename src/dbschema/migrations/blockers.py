"""Find the sessions that block a revision, and end autovacuum if it blocks one.

PostgreSQL reports blockers only during the wait for a lock, which lasts 50 ms by default. So a thread with its own connection
watches the wait, from the second attempt of a revision on.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from dbschema.connect.connection import Open

log: Final = logging.getLogger("dbschema.migrations")

_PAUSE: Final = 0.01
# pg_blocking_pids locks the lock table of the server for a moment: call it only while the process waits for a lock.
_BLOCKERS: Final = """
    SELECT blocker.pid, a.application_name, a.usename, a.state,
           extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_age,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_age,
           -- An ordinary role recognizes autovacuum only by these: it has no user, and it holds the lock of VACUUM.
           CASE WHEN a.usesysid IS NULL AND blocker.pid <> 0 THEN (
               SELECT format('%%I.%%I', n.nspname, c.relname)
               FROM pg_catalog.pg_locks AS wanted
               JOIN pg_catalog.pg_locks AS held USING (database, relation)
               JOIN pg_catalog.pg_class AS c ON c.oid = wanted.relation
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE wanted.pid = own.pid AND NOT wanted.granted AND held.pid = blocker.pid
                 AND held.granted AND held.mode = 'ShareUpdateExclusiveLock' AND c.relkind <> 'i' LIMIT 1
           ) END AS vacuumed
    FROM pg_catalog.pg_stat_activity AS own
    CROSS JOIN LATERAL unnest(CASE WHEN own.wait_event_type = 'Lock' THEN pg_blocking_pids(own.pid) END) AS blocker (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = blocker.pid
    WHERE own.pid = %s
    ORDER BY a.xact_start NULLS LAST
    """
# The setting is in milliseconds. Doubled, for a server under load.
_SET_LOCK_TIMEOUT: Final = """
    SELECT set_config('lock_timeout', (2 * setting::int + 1000)::text, true)
    FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'
    """


@dataclass(frozen=True)
class Blocker:
    """A session that holds a lock that a revision needs, or that waits for it before the revision.

    Ages are in seconds at the time of observation. A value that the role may not see is None. `pid` 0 is a prepared
    transaction. `vacuumed` is the table that an autovacuum worker processes, as SQL; None for other sessions.
    """

    pid: int
    application: str | None
    user: str | None
    state: str | None
    query_age: float | None
    transaction_age: float | None
    vacuumed: str | None = None

    def __str__(self) -> str:
        if self.pid == 0:
            return "a prepared transaction (see pg_prepared_xacts)"
        if self.vacuumed is not None:
            return f"process {self.pid}, which is autovacuum at {self.vacuumed}"
        name = f" {self.application!r}" if self.application else ""
        user = f" of {self.user!r}" if self.user else ""
        facts = [self.state] if self.state else []
        if self.query_age is not None:
            facts.append(f"last query began {self.query_age:.1f} s ago")
        if self.transaction_age is not None:
            facts.append(f"in a transaction for {self.transaction_age:.1f} s")
        known = f" ({', '.join(facts)})" if facts else ""
        return f"process {self.pid}{name}{user}{known}"


class Watch:
    """Watches the blockers of the backend `pid` during its `with` block; `found` holds those seen last.

    Args:
        opener: opens a further connection.
        pid: the process id of the backend that executes the revision.
    """

    def __init__(self, opener: Open, pid: int) -> None:
        self._opener, self._pid = opener, pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="dbschema-blockers", daemon=True)
        self.found: tuple[Blocker, ...] = ()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        # Ignore errors: the run needs no blockers, and this thread must not end it.
        with suppress(DbSchemaError, psycopg.Error), closing(self._opener(autocommit=True)) as connection:
            while not self._end.wait(_PAUSE):
                if rows := connection.execute(_BLOCKERS, (self._pid,)).fetchall():
                    self.found = tuple(Blocker(*row) for row in rows)


def end_autovacuum(opener: Open, table: str) -> bool:
    """End autovacuum on `table` without blocking other sessions. Return False if it stays, as it does against wraparound.

    The server cancels an autovacuum worker that blocks a session for `deadlock_timeout` (default: 1 s). The statements of a
    revision do not wait that long, because all later sessions wait behind them. This function waits for the lock mode of
    VACUUM instead, behind which neither readers nor writers wait.

    Args:
        opener: opens a further connection.
        table: the table, as SQL.
    """
    try:
        with closing(opener(autocommit=False)) as connection:
            connection.execute(_SET_LOCK_TIMEOUT)
            connection.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
            connection.rollback()
    except (DbSchemaError, psycopg.Error) as error:
        log.info("Autovacuum on %s did not end: %s", table, type(error).__name__)
        return False
    log.info("Ended autovacuum on %s", table)
    return True
