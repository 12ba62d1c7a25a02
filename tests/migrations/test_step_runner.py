"""Runs beside the sessions of others: locks that are tried again, time that ends, indexes that were left behind, the log."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from clock import Clock, FastForward
from dbschema import _retry
from dbschema.connect import opener, resolve
from dbschema.errors import UnknownRevision
from dbschema.migrations import errors, lock, result, runner, step_runner
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection, Engine

TABLE = 'op.execute("CREATE TABLE t (n int)")'
COLUMN = 'op.execute("ALTER TABLE t ADD COLUMN m int")'
SAFE_INDEX = """
with op.get_context().autocommit_block():
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS t_n")
    op.execute("CREATE INDEX CONCURRENTLY t_n ON t (n)")
"""
BAD_INDEX = """
with op.get_context().autocommit_block():
    op.execute("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n)")
"""


@pytest.fixture(params=[False, True], ids=["by Alembic", "by compiled SQL"])
def compiles(request: pytest.FixtureRequest) -> bool:
    """Each rule holds for both ways in which revisions are executed."""
    return bool(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of a run: it passes by the pauses between attempts alone, however long the attempts take."""
    clock = Clock()
    for module in (step_runner, _retry):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def fast_forward(monkeypatch: pytest.MonkeyPatch) -> FastForward:
    """The time of a run, which a test can put forward."""
    clock = FastForward()
    for module in (step_runner, _retry):
        monkeypatch.setattr(module, "time", clock)
    return clock


def scalar(engine: Engine, query: str) -> object:
    with engine.connect() as connection:
        return connection.scalar(text(query))


def columns(engine: Engine) -> object:
    return scalar(engine, "SELECT count(*) FROM information_schema.columns WHERE table_name = 't'")


def leave_invalid_index(engine: Engine) -> None:
    """What a killed CREATE UNIQUE INDEX CONCURRENTLY leaves."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("INSERT INTO t VALUES (1), (1)"))
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute(text("CREATE UNIQUE INDEX CONCURRENTLY t_n ON t (n)"))
        connection.execute(text("TRUNCATE t"))


def test_a_lock_that_is_never_given_ends_the_run_in_time_names_the_blocker_and_changes_nothing(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path], clock: Clock
) -> None:
    """It is tried some 15 times, so that the blocker is seen in one of these 50 ms on a busy machine as well."""
    scripts = write_history(one=TABLE, two=COLUMN)
    runner.upgrade(fresh_database, "one", location=scripts)

    with plain_engine.connect() as reader:
        reader.execute(text("SET application_name = 'report'"))
        reader.execute(text("SELECT * FROM t"))
        pid = reader.scalar(text("SELECT pg_backend_pid()"))
        with pytest.raises(errors.LockNotGiven) as caught:
            runner.upgrade(fresh_database, location=scripts, timeouts=Timeouts(retry=10))

    assert caught.value.waited == pytest.approx(sum(clock.pauses))
    assert 10 <= caught.value.waited < 11
    (blocker,) = caught.value.blockers
    assert (blocker.pid, blocker.application, blocker.state) == (pid, "report", "idle in transaction")
    assert blocker.query_age is not None
    assert blocker.query_age > 0
    assert f"process {pid} 'report'" in str(caught.value)
    assert (caught.value.revision, caught.value.sqlstate) == ("two", "55P03")
    assert caught.value.retries == len(clock.pauses) > 10
    assert columns(plain_engine) == 1
    assert scalar(plain_engine, "SELECT version_num FROM alembic_version") == "one"


def test_a_lock_that_is_given_late_is_had_in_the_end(
    fresh_database: str,
    plain_engine: Engine,
    write_history: Callable[..., Path],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="dbschema.migrations")
    scripts = write_history(one=TABLE, two=COLUMN, three='op.execute("ALTER TABLE t ADD COLUMN o int")')
    runner.upgrade(fresh_database, "one", location=scripts)
    reader = plain_engine.connect()
    reader.execute(text("SELECT * FROM t"))
    told: list[tuple[str, bool]] = []
    clock.at_pause[3] = reader.close

    run = runner.upgrade(
        fresh_database, location=scripts, on_step=lambda step: told.append((step.revision.id, step.done))
    )

    assert [step.id for step in run.steps] == ["two", "three"]
    assert told == [("two", False), ("two", True), ("three", False), ("three", True)]
    assert columns(plain_engine) == 3
    lines = {
        record.__dict__["revision"]: record for record in caplog.records if "revision" in record.__dict__
    }
    assert set(lines) == {"one", "two", "three"}
    assert lines["two"].__dict__["retries"] == len(clock.pauses) >= 3
    assert lines["two"].__dict__["lock_wait"] == pytest.approx(sum(clock.pauses), abs=0.001)
    assert (lines["three"].__dict__["retries"], lines["three"].__dict__["lock_wait"]) == (0, 0)
    assert "upgrade of revision two: " in lines["two"].getMessage()


def test_live_statements_are_held_up_for_no_longer_than_the_lock_timeout(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    """Behind a long reader, each attempt makes others wait 50 ms; a lock timeout of seconds would stop them all.

    Half of the waits may be those of a machine that stood still.
    """
    scripts = write_history(one=TABLE, two=COLUMN)
    runner.upgrade(fresh_database, "one", location=scripts)
    waits: list[float] = []
    reader = plain_engine.connect()
    reader.execute(text("SELECT * FROM t"))

    def read() -> None:
        with plain_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while len(waits) < 7:
                began = time.monotonic()
                connection.execute(text("SELECT * FROM t"))
                took = time.monotonic() - began
                if took > 0.03:
                    waits.append(took)
        reader.close()

    live = threading.Thread(target=read)
    live.start()
    run = runner.upgrade(fresh_database, location=scripts, timeouts=Timeouts(retry=600))
    live.join()

    assert run.after == "two"
    assert statistics.median(waits) < 0.5


def test_a_relative_target_is_not_counted_anew_when_a_lock_is_tried_again(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path], clock: Clock
) -> None:
    """Plain Alembic counts '+2' from where the database stands, which is one further after the first of the two."""
    scripts = write_history(one=TABLE, two='op.execute("CREATE TABLE u ()")', three=COLUMN, four="pass")
    config = Config(attributes={"url": fresh_database})
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "one")
    reader = plain_engine.connect()
    reader.execute(text("SELECT * FROM t"))
    clock.at_pause[2] = reader.close

    command.upgrade(config, "+2")

    assert len(clock.pauses) >= 2
    assert scalar(plain_engine, "SELECT version_num FROM alembic_version") == "three"
    assert columns(plain_engine) == 2


def test_alembic_itself_waits_for_another_run_and_then_gives_up(
    fresh_database: str,
    plain_engine: Engine,
    write_history: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DBSCHEMA_WAIT", "0.2")
    config = Config(attributes={"url": fresh_database})
    config.set_main_option("script_location", str(write_history(one=TABLE)))
    config.set_main_option("path_separator", "os")

    with lock.exclusive(opener(resolve(fresh_database)), "there"):
        command.current(config)
        with pytest.raises(errors.RunnerBusy):
            command.upgrade(config, "head")

    assert scalar(plain_engine, "SELECT to_regclass('alembic_version')") is None


def test_a_concurrent_index_waits_for_a_reader_of_another_table(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    """It waits for old snapshots, which stops nobody; a timeout of 50 ms would leave it invalid again and again."""
    scripts = write_history(one=TABLE, two=SAFE_INDEX, three=COLUMN)
    runner.upgrade(fresh_database, "one", location=scripts)
    reader = plain_engine.connect().execution_options(isolation_level="REPEATABLE READ")
    reader.execute(text("SELECT * FROM alembic_version"))
    timer = threading.Timer(1.0, reader.close)
    timer.start()

    run = runner.upgrade(fresh_database, location=scripts)
    timer.join()

    assert [step.id for step in run.steps] == ["two", "three"]
    assert scalar(plain_engine, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass") is True


@pytest.mark.usefixtures("clock")
def test_a_concurrent_index_that_never_gets_its_turn_fails_in_time_and_is_repaired_by_the_next_run(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=SAFE_INDEX)
    runner.upgrade(fresh_database, "one", location=scripts)
    with plain_engine.connect() as writer:
        writer.execute(text("INSERT INTO t VALUES (1)"))
        pid = writer.scalar(text("SELECT pg_backend_pid()"))
        with pytest.raises(errors.LockNotGiven) as caught:
            runner.upgrade(fresh_database, location=scripts, timeouts=Timeouts(retry=0.2))

    run = runner.upgrade(fresh_database, location=scripts)

    assert [one.pid for one in caught.value.blockers] == [pid]
    assert run.after == "two"
    assert scalar(plain_engine, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass") is True


def test_a_run_stops_between_two_steps_when_its_time_is_over_and_the_next_goes_on(
    fresh_database: str, write_history: Callable[..., Path], fast_forward: FastForward
) -> None:
    scripts = write_history(one=TABLE, two=COLUMN, three="pass")

    def long(_: result.Step) -> None:
        fast_forward.ahead = 601

    first = runner.upgrade(fresh_database, location=scripts, within=600, on_step=long)
    fast_forward.ahead = 0
    second = runner.upgrade(fresh_database, location=scripts, within=600)

    assert ([one.id for one in first.steps], [one.id for one in first.left]) == (["one"], ["two", "three"])
    assert (first.before, first.after, first.complete) == (None, "one", False)
    assert (second.before, second.after, second.complete, second.left) == ("one", "three", True, ())


def test_a_run_without_time_does_nothing(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    run = runner.upgrade(fresh_database, location=write_history(one=TABLE), within=0)

    assert (run.steps, [one.id for one in run.left], run.after) == ((), ["one"], None)
    assert scalar(plain_engine, "SELECT to_regclass('alembic_version')") is None


def test_a_run_that_waits_for_a_lock_stops_when_its_time_is_over(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=COLUMN)
    runner.upgrade(fresh_database, "one", location=scripts)

    with plain_engine.connect() as reader:
        reader.execute(text("SELECT * FROM t"))
        run = runner.upgrade(fresh_database, location=scripts, within=0.5)

    assert (run.steps, [one.id for one in run.left], run.after) == ((), ["two"], "one")


def test_an_invalid_index_that_no_step_repairs_is_refused_before_anything_is_changed(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=COLUMN)
    runner.upgrade(fresh_database, "one", location=scripts)
    leave_invalid_index(plain_engine)

    with pytest.raises(errors.InvalidIndex) as caught:
        runner.upgrade(fresh_database, location=scripts)

    assert caught.value.indexes == ("public.t_n",)
    assert "DROP INDEX CONCURRENTLY public.t_n" in str(caught.value)
    assert columns(plain_engine) == 1


def test_an_invalid_index_is_told_also_where_nothing_is_to_do(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE)
    runner.upgrade(fresh_database, location=scripts)
    leave_invalid_index(plain_engine)

    with pytest.raises(errors.InvalidIndex):
        runner.upgrade(fresh_database, location=scripts)


def test_an_invalid_index_of_an_interrupted_step_is_repaired_by_that_step(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=SAFE_INDEX)
    runner.upgrade(fresh_database, "one", location=scripts)
    leave_invalid_index(plain_engine)

    run = runner.upgrade(fresh_database, location=scripts)

    assert run.after == "two"


@pytest.mark.parametrize("by_alembic", [False, True])
def test_a_step_that_keeps_an_invalid_index_fails_and_is_not_recorded(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path], by_alembic: bool
) -> None:
    """IF NOT EXISTS takes the name for the thing, and would leave it invalid for ever."""
    scripts = write_history(one=TABLE, two=BAD_INDEX)
    runner.upgrade(fresh_database, "one", location=scripts)
    leave_invalid_index(plain_engine)
    config = Config(attributes={"url": fresh_database})
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")

    def run() -> None:
        if by_alembic:
            command.upgrade(config, "head")
        else:
            runner.upgrade(fresh_database, location=scripts)

    with pytest.raises(errors.InvalidIndex) as caught:
        run()

    assert (caught.value.revision, caught.value.indexes) == ("two", ("public.t_n",))
    assert scalar(plain_engine, "SELECT version_num FROM alembic_version") == "one"


def test_a_newer_database_is_tolerated_where_that_is_told_and_a_mistyped_target_is_not(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    """After a rollback of code the old one meets the newer database: that is forward-only, and no error."""
    new = write_history("new", one=TABLE, two=COLUMN)
    old = write_history("old", one=TABLE)
    runner.upgrade(fresh_database, location=new)

    run = runner.upgrade(fresh_database, location=old, tolerate_newer=True)

    assert (run.steps, run.unknown, run.after) == ((), ("two",), "two")
    with pytest.raises(errors.DatabaseNewer):
        runner.upgrade(fresh_database, location=old)
    with pytest.raises(UnknownRevision):
        runner.upgrade(fresh_database, "twoo", location=old, tolerate_newer=True)


def test_the_comparison_is_made_after_a_run_that_did_something_and_only_then(
    fresh_database: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=COLUMN)
    seen: list[object] = []

    def compare(connection: Connection) -> list[str]:
        seen.append(connection.scalar(text("SELECT version_num FROM alembic_version")))
        return ["a difference"]

    part = runner.upgrade(fresh_database, "one", location=scripts, compare=compare)
    whole = runner.upgrade(fresh_database, location=scripts, compare=compare)
    empty = runner.upgrade(fresh_database, location=scripts, compare=compare)

    assert (part.differences, whole.differences, empty.differences) == ((), ("a difference",), ())
    assert seen == ["two"]


def test_a_run_whose_lock_is_taken_away_stops_before_the_next_step(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=TABLE, two=COLUMN, three="pass")

    def on_step(step: result.Step) -> None:
        if step.number == 2 and step.done:
            with plain_engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND objid = :key AND database ="
                        " (SELECT oid FROM pg_database WHERE datname = current_database())"
                    ),
                    {"key": lock.KEY & 0xFFFF_FFFF},
                )

    with pytest.raises(errors.LockLost) as caught:
        runner.upgrade(fresh_database, location=scripts, on_step=on_step)

    assert caught.value.done == ("one", "two")
    assert scalar(plain_engine, "SELECT version_num FROM alembic_version") == "two"


def test_the_settings_hold_in_every_revision_also_after_one_was_tried_again(
    fresh_database: str, plain_engine: Engine, write_history: Callable[..., Path], clock: Clock
) -> None:
    names = (
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "client_connection_check_interval",
    )
    keep = f'op.execute("INSERT INTO seen SELECT name, setting FROM pg_settings WHERE name IN {names}")'
    scripts = write_history(
        one='op.execute("CREATE TABLE seen (name text, setting text)")', two=TABLE, three=COLUMN + "\n" + keep
    )
    runner.upgrade(fresh_database, "two", location=scripts)
    reader = plain_engine.connect()
    reader.execute(text("SELECT * FROM t"))
    clock.at_pause[2] = reader.close

    runner.upgrade(fresh_database, location=scripts, timeouts=Timeouts(statement=120, idle_in_transaction=7))

    assert len(clock.pauses) >= 2
    with plain_engine.connect() as connection:
        seen = {row.name: row.setting for row in connection.execute(text("SELECT * FROM seen"))}
    assert seen == dict(zip(names, ("50", "120000", "7000", "500"), strict=True))
