"""Who holds a lock that a revision waits for, and how autovacuum gives it back.

PostgreSQL tells it only while the wait lasts, and ours lasts 50 ms; so somebody has to look meanwhile. That is done by
a thread with a connection of its own, for revisions that have met a lock once already, and for no others.
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
# pg_blocking_pids stops the server's lock table for a moment: it is asked only when the process does wait for a lock.
_BLOCKERS: Final = """
    SELECT blocker.pid, a.application_name, a.usename, a.state,
           extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_age,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_age,
           -- Of what it is, an ordinary role may see this much: it has no user, and the lock of VACUUM.
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
# The setting is in milliseconds; twice as long, for a server that is busy.
_PATIENCE: Final = """
    SELECT set_config('lock_timeout', (2 * setting::int + 1000)::text, true)
    FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'
    """


@dataclass(frozen=True)
class Blocker:
    """A session that holds, or waits before us for, what a revision needs.

    Ages are in seconds, as of when it was seen; what the role may not see is None. `pid` 0 is a prepared transaction.
    `vacuumed` is the table that a worker of autovacuum is at, as SQL; None for everybody else.
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
    """Looks, while its block runs, for whoever makes the backend `pid` wait; the last ones seen are in `found`.

    Args:
        another: opens a connection of its own.
        pid: the backend that works.
    """

    def __init__(self, another: Open, pid: int) -> None:
        self._another, self._pid = another, pid
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
        # Without the names the run goes on as well: this must not be what ends it.
        with suppress(DbSchemaError, psycopg.Error), closing(self._another(autocommit=True)) as connection:
            while not self._end.wait(_PAUSE):
                if rows := connection.execute(_BLOCKERS, (self._pid,)).fetchall():
                    self.found = tuple(Blocker(*row) for row in rows)


def end_autovacuum(another: Open, table: str) -> bool:
    """Have autovacuum leave `table`, which holds nobody up; False where it stays, as it does against wraparound.

    The server ends a worker of autovacuum for whoever has waited for `deadlock_timeout`, mostly a second. Our statements do
    not wait for so long, since everybody waits behind them. Behind this lock, which is VACUUM's own, neither readers nor
    writers wait.

    Args:
        another: opens a connection of its own.
        table: as SQL.
    """
    try:
        with closing(another(autocommit=False)) as connection:
            connection.execute(_PATIENCE)
            connection.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
            connection.rollback()
    except (DbSchemaError, psycopg.Error) as error:
        log.info("Autovacuum stays at %s: %s", table, type(error).__name__)
        return False
    log.info("Autovacuum has left %s to the revision", table)
    return True
