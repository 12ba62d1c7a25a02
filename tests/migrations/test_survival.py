"""Runs that are killed for real, at every statement, many at once, or with their server: the next one ends as if undisturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text

from dbschema.migrations import runner
from dbschema.testing import place
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

# "four" sorts, as the ids of "u" follow its rows: unsorted, they would follow the plan that autovacuum's statistics give.
STEPS = {
    "one": """
op.execute("CREATE TABLE t (id int PRIMARY KEY, n int, doubled int)")
op.execute("INSERT INTO t SELECT i, i % 100 FROM generate_series(1, 500) AS i")
""",
    "two": """
op.execute("ALTER TABLE t ADD COLUMN note text NOT NULL DEFAULT 'none'")
op.execute("UPDATE t SET doubled = coalesce(doubled, 0) + 2 * n")
op.execute("CREATE INDEX t_doubled ON t (doubled)")
""",
    "three": """
with op.get_context().autocommit_block():
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS t_n")
    op.execute("CREATE INDEX CONCURRENTLY t_n ON t (n)")
""",
    "four": """
op.execute("CREATE TABLE u AS SELECT DISTINCT n FROM t ORDER BY n")
op.execute("ALTER TABLE u ADD COLUMN id int GENERATED ALWAYS AS IDENTITY")
""",
    "five": """
with op.get_context().autocommit_block():
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS u_n")
    op.execute("CREATE UNIQUE INDEX CONCURRENTLY u_n ON u (n)")
""",
}
TRIES_ALL = """
# Imports once, and forks a run for every statement; tells what each left and what the next run made of it.
import gc, json, os, signal, sys, threading, time
from pathlib import Path

import psycopg

from dbschema import catalog, connect
from dbschema.catalog import introspect as fingerprint
from dbschema.migrations import runner

url, folder, how, when = sys.argv[1:]
scripts = Path(folder)
settings = connect.resolve(url)
plain = psycopg.Cursor.execute  # below SQLAlchemy, so that statements of ours and of Alembic's count alike


def terminate(pid):
    # Asked to wait for it, the server would look every 100 ms whether it has ended.
    with psycopg.connect(settings.libpq_url()) as other:
        plain(other.cursor(), "SELECT pg_terminate_backend(%s)", (pid,))
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.001)
    raise TimeoutError(pid)


# The moment before a statement is the one after the statement before it, and is not tried again, if nothing else was done
# by then on any connection: no commit, no rollback, none opened or closed. This is the connection of that earlier statement.
last = None


def noticed(name):
    done = getattr(psycopg.Connection, name)

    def do(*arguments, **options):
        global last
        last = None
        return done(*arguments, **options)

    setattr(psycopg.Connection, name, do)


for name in ("__init__", "wait", "close"):
    noticed(name)


def upgrade(at):
    global count, last
    count, last = 0, None

    def strike(cursor):
        if count != at:
            return
        if how == "process":
            os.kill(os.getpid(), signal.SIGKILL)
        terminate(cursor.connection.info.backend_pid)

    def execute(cursor, *arguments, **options):
        global count, last
        count += 1
        if last is cursor.connection:
            repeated.add(count)
        if when == "before":
            strike(cursor)
        result = plain(cursor, *arguments, **options)
        last = cursor.connection
        if when == "after":
            strike(cursor)
        return result

    psycopg.Cursor.execute = execute
    try:
        runner.upgrade(settings, location=scripts)
    finally:
        psycopg.Cursor.execute = plain
    return count


def child(at):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(upgrade(at)).encode())
            code = 0
        except BaseException as error:
            os.write(write, repr(error).encode())
            code = 1
        os._exit(code)
    os.close(write)
    said = b""
    while part := os.read(read, 65536):
        said += part
    os.close(read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


# One connection of the parent's own, which no child touches.
engine = connect.create_engine(settings)


def state():
    with engine.connect() as connection:
        found = fingerprint.read(connection)
        entries = sorted((str(identity), sorted(map(str, facts.items()))) for identity, facts in found.entries.items())
        rows = [
            connection.exec_driver_sql(query).all()
            for query in ("SELECT * FROM alembic_version", "SELECT * FROM t ORDER BY id", "SELECT n, id FROM u ORDER BY n")
        ]
        return repr((entries, rows))


def clear():
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


# Here and not in a child, so that each of them has imported what a run imports.
repeated = set()
statements, wanted = upgrade(0), state()
left_out = sorted(repeated) if when == "before" else []
assert threading.active_count() == 1, "a fork would lose them"
gc.collect()
gc.freeze()
results = []
for at in sorted({*range(1, statements + 1)} - {*left_out}):
    clear()
    struck, _ = child(at)
    again, told = child(0)
    results.append({"at": at, "struck": struck, "again": again, "told": told, "same": again == 0 and state() == wanted})
print(json.dumps([left_out, results]))
"""
RUN = """
import sys
import tempfile
from pathlib import Path

from dbschema.migrations import runner

runner.upgrade(sys.argv[1], location=Path(sys.argv[2]))
"""


@pytest.fixture(params=[False, True], ids=["by Alembic", "by compiled SQL"])
def compiles(request: pytest.FixtureRequest) -> bool:
    """Each rule holds for both ways in which revisions are executed."""
    return bool(request.param)


@pytest.fixture
def scripts(write_history: Callable[..., Path]) -> Path:
    return write_history(**STEPS)


@pytest.fixture
def own_server() -> Iterator[PrivateServer]:
    """A server of this test alone, which may be stopped under a run."""
    with tempfile.TemporaryDirectory(prefix="dbschema-test-", dir=place.folder()) as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, the server runs as another user
        # The machine stays up, so nothing is lost without fsync; recovery takes a second instead of many on a busy disk.
        server = PrivateServer(folder / "server", options={"fsync": "off"})
        yield server
        server.destroy()


def program(source: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], seconds: float = 60) -> int:
    """Wait until `condition` holds; how often it did not, at looks that are 10 ms apart or more."""
    began, looks = time.monotonic(), 0
    while not condition():
        assert time.monotonic() - began < seconds, "it never came"
        time.sleep(0.01)
        looks += 1
    return looks


def content(engine: Engine) -> list[Any]:
    """What a run leaves: rows, indexes with their validity, the version."""
    with engine.connect() as connection:
        return [
            connection.execute(text(query)).all()
            for query in (
                "SELECT * FROM t ORDER BY id",
                "SELECT n FROM u ORDER BY n",
                "SELECT i.relname, indisvalid FROM pg_index JOIN pg_class AS i ON oid = indexrelid"  # noqa: ISC004  one query
                " WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
                "SELECT * FROM alembic_version",
            )
        ]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["process", "backend"])
def test_after_a_kill_at_any_statement_the_next_run_ends_as_an_undisturbed_one(
    fresh_database: str, scripts: Path, how: str, when: str
) -> None:
    done = program(TRIES_ALL, fresh_database, scripts, how, when)
    out, err = done.communicate(timeout=300)

    assert done.returncode == 0, err
    # Those left out in one of the four are in another one: see `repeated` there.
    left_out, results = json.loads(out)
    statements = sorted([*left_out, *(one["at"] for one in results)])
    assert statements == list(range(1, len(statements) + 1))
    assert len(statements) > 30
    assert not left_out or when == "before"
    assert [one for one in results if not one["same"]] == []
    killed = [one for one in results if one["struck"] == (-signal.SIGKILL if how == "process" else 1)]
    assert len(killed) >= len(results) * 0.7


def test_a_run_that_is_killed_while_it_builds_a_concurrent_index_is_followed_at_once_by_another(
    fresh_database: str, plain_engine: Engine, scripts: Path
) -> None:
    """The killed one's server process goes on for a moment: the next run waits for that, and not for ever."""
    runner.upgrade(fresh_database, "two", location=scripts)
    writer = plain_engine.connect()
    writer.execute(text("UPDATE t SET note = 'held' WHERE id = 1"))
    first = program(RUN, fresh_database, scripts)

    def building() -> Any:
        with plain_engine.connect() as connection:
            return connection.scalar(
                text(
                    "SELECT pid FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' AND datname = current_database()"
                )
            )

    until(building)
    first.kill()
    first.communicate()
    timer = threading.Timer(1.5, writer.rollback)
    timer.start()
    run = runner.upgrade(fresh_database, location=scripts)
    timer.join()
    writer.close()

    assert [step.id for step in run.steps] == ["three", "four", "five"]
    assert all(valid for _, valid in content(plain_engine)[2])


def test_the_locks_of_a_killed_run_are_free_within_two_seconds(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one='op.execute("CREATE TABLE t ()")\nop.execute("SELECT pg_sleep(600)")')
    process = program(RUN, fresh_database, scripts)

    def locks() -> Any:
        with plain_engine.connect() as connection:
            return connection.scalar(
                text(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )

    def sleeping() -> Any:
        with plain_engine.connect() as connection:
            return connection.scalar(
                text(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
                )
            )

    until(sleeping)
    held = locks()
    process.kill()
    looks = until(lambda: locks() == 0)
    process.communicate()

    assert held == 2
    assert looks < 200  # two seconds, but for those in which the machine stood still


def test_sixteen_runs_at_once_with_concurrent_indexes_make_one(
    fresh_database: str, plain_engine: Engine, scripts: Path
) -> None:
    runs = [program(RUN, fresh_database, scripts) for _ in range(8)]
    environment = {**os.environ, "DATABASE_URL": fresh_database}
    (scripts / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\npath_separator = os\n")
    runs += [
        subprocess.Popen(
            [sys.executable, "-m", "alembic", "-c", str(scripts / "alembic.ini"), "upgrade", "head"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(8)
    ]  # fmt: skip
    said = [run.communicate(timeout=120)[1] for run in runs]

    assert [run.returncode for run in runs] == [0] * 16, said
    rows, _, indexes, version = content(plain_engine)
    assert {(row.doubled, 2 * row.n) for row in rows} == {(2 * n, 2 * n) for n in range(100)}
    assert indexes == [(name, True) for name in ("alembic_version_pkc", "t_doubled", "t_n", "t_pkey", "u_n")]
    assert version == [("five",)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_the_server_went_down_under_a_run_the_next_one_ends_it(
    own_server: PrivateServer, write_history: Callable[..., Path], tmp_path: Path, how: str
) -> None:
    """An immediate stop, and a server process that is killed, after which PostgreSQL ends all others and recovers."""
    flag = tmp_path / "flag"
    pause = f"\nif not Path({str(flag)!r}).exists():\n    op.execute('SELECT pg_sleep(60)')"
    scripts = write_history(**{**STEPS, "two": STEPS["two"] + pause})
    url = own_server.start().url(driver="")
    process = program(RUN, url, scripts)

    def sleeping() -> int:
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            ).fetchone()
            return 0 if found is None else int(found[0])

    def accepts() -> bool:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True

    until(sleeping)
    if how == "kill":
        os.kill(sleeping(), signal.SIGKILL)
    else:
        own_server.stop(mode="immediate")
    _, err = process.communicate(timeout=60)
    flag.touch()
    if how == "stop":
        url = own_server.start().url(driver="")
    until(accepts)
    run = runner.upgrade(url, location=scripts)

    assert process.returncode == 1
    assert "RevisionFailed" in err
    assert [step.id for step in run.steps] == ["two", "three", "four", "five"]
