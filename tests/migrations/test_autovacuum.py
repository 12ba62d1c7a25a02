"""A revision that meets autovacuum, which is at a large table for long, and gives way to nobody who waits for 50 ms."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url, text

from dbschema.migrations import errors, runner
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

# Its vacuum begins with the first row that goes, and takes minutes.
TABLE = """
op.execute('CREATE TABLE "A t" (n int) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,'
    ' autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)')
"""
CONSTRAINT = """op.execute('ALTER TABLE "A t" ADD CONSTRAINT c CHECK (n > 0) NOT VALID')"""
AT_WORK = """
SELECT pid FROM pg_stat_progress_vacuum WHERE datname = current_database() AND relid = to_regclass('"A t"')
"""


@pytest.fixture
def eager(server: Any) -> Iterator[None]:
    """Autovacuum begins within a second."""
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def migrator(fresh_database: str, plain_engine: Engine) -> Iterator[str]:
    """The URL of a login that owns the database and is no superuser: it may not see what others do."""
    url = make_url(fresh_database)
    name = f"migrator_{uuid4().hex[:8]}"
    with plain_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'"))
        connection.execute(text(f"ALTER DATABASE {url.database} OWNER TO {name}"))
        yield url.set(username=name, password="secret").render_as_string(hide_password=False)
        connection.execute(text(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP ROLE {name}"))


@pytest.fixture
def vacuumed(
    eager: None, migrator: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> Iterator[tuple[Path, Connection]]:
    """Revisions of which the next one meets autovacuum, and a connection to see it by."""
    scripts = write_history(one=TABLE, two=CONSTRAINT)
    runner.upgrade(migrator, "one", location=scripts)
    with plain_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text('INSERT INTO "A t" SELECT generate_series(1, 50000)'))
        connection.execute(text('DELETE FROM "A t" WHERE n % 2 = 0'))
        until = time.monotonic() + 60
        while connection.execute(text(AT_WORK)).one_or_none() is None:
            assert time.monotonic() < until, "autovacuum did not come"
            time.sleep(0.02)
        # It may come back, but as late as elsewhere.
        connection.execute(text("ALTER SYSTEM RESET autovacuum_naptime"))
        connection.execute(text("SELECT pg_reload_conf()"))
        yield scripts, connection


def test_autovacuum_leaves_the_table_to_the_revision(
    vacuumed: tuple[Path, Connection], migrator: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="dbschema.migrations")
    scripts, connection = vacuumed

    run = runner.upgrade(migrator, location=scripts)

    assert run.after == "two"
    assert 'Ended autovacuum on public."A t"' in caplog.messages
    assert connection.scalar(text("SELECT count(*) FROM pg_constraint WHERE conname = 'c'")) == 1


def test_readers_and_writers_are_not_held_up_meanwhile(
    vacuumed: tuple[Path, Connection], migrator: str
) -> None:
    """Who waits as long as the server needs to end autovacuum, a second or as here four, has them wait for as long."""
    scripts, connection = vacuumed
    connection.execute(text("ALTER SYSTEM SET deadlock_timeout = '4s'"))
    connection.execute(text("SELECT pg_reload_conf()"))
    connection.execute(text("SET lock_timeout = '3900ms'"))
    done: list[object] = []
    run = threading.Thread(target=lambda: done.append(runner.upgrade(migrator, location=scripts)))

    run.start()
    while run.is_alive():
        connection.execute(text('INSERT INTO "A t" VALUES (1)'))
        connection.execute(text('SELECT FROM "A t" LIMIT 1'))
    run.join()

    assert len(done) == 1


def test_where_autovacuum_stays_it_is_named(
    vacuumed: tuple[Path, Connection], migrator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where it works against wraparound, and does not go."""
    scripts, connection = vacuumed
    monkeypatch.setattr("dbschema.migrations.step_runner.end_autovacuum", lambda *_: False)
    pid = connection.scalar(text(AT_WORK))

    with pytest.raises(errors.LockNotGiven) as caught:
        runner.upgrade(migrator, location=scripts, timeouts=Timeouts(retry=1.0))

    assert f'held by process {pid}, which is autovacuum at public."A t"' in str(caught.value)
