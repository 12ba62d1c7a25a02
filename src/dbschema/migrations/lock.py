"""One run at a time on a database: an advisory lock that is asked for again and again, never waited for.

A session that waits inside `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY in the run that has the
lock waits for all snapshots: both would stand for ever. The lock has a connection of its own, which is never in a
transaction, because on Alembic's own connection it would begin one before Alembic, and the run would commit nothing.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from dbschema.migrations.errors import RunnerBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

WAIT_SECONDS: Final = 60.0
"""How long a run waits for another one to end."""

KEY: Final = 0x6462_7363_6865_6D61
"""The key of the lock, within one database: the bytes of 'dbschema'."""

_PAUSE: Final = (0.1, 0.4)
_TRY: Final = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=KEY)
_HOLDER: Final = text(
    """
    SELECT a.pid, a.usename, a.application_name, host(a.client_addr) AS address, a.backend_start
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.classid = :high AND l.objid = :low
    """
).bindparams(high=KEY >> 32, low=KEY & 0xFFFF_FFFF)


@contextmanager
def exclusive(
    engine: Engine,
    place: str,
    seconds: float = WAIT_SECONDS,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lock of the database behind `engine`; the server frees it when this connection ends, however it ends.

    Args:
        engine: for a connection of its own.
        place: the database in words, for the error.
        seconds: how long to wait for another run.
        on_wait: called once, with the holder in words, where there is one to wait for.

    Raises:
        RunnerBusy: another one held it all that time; names it.
    """
    deadline = time.monotonic() + seconds
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(_TRY):
            if on_wait is not None:
                on_wait(_holder(connection))
                on_wait = None
            if time.monotonic() >= deadline:
                raise RunnerBusy(place, _holder(connection), seconds)
            time.sleep(random.uniform(*_PAUSE))  # noqa: S311  runners shall not ask in step; nothing secret
        yield


def _holder(connection: Connection) -> str:
    """Who has the lock, in words."""
    found = connection.execute(_HOLDER).first()
    if found is None or found.pid is None:
        return "a session that has just ended"
    name = f" {found.application_name!r}" if found.application_name else ""
    user = f" of {found.usename!r}" if found.usename else ""
    address = f" from {found.address}" if found.address else ""
    since = f", connected since {found.backend_start:%Y-%m-%d %H:%M:%S %Z}" if found.backend_start else ""
    return f"process {found.pid}{name}{user}{address}{since}"
