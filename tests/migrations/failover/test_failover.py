"""Upgrades whose writer dies under them, for real: with failover they end on the next writer as undisturbed ones."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
import pytest
from aws_advanced_python_wrapper import release_resources
from pair import HOSTS, PATTERN

from dbschema import connect
from dbschema.catalog import introspect
from dbschema.connect import errors
from dbschema.connect.asynchronous import create_async_engine
from dbschema.migrations import result, runner
from dbschema.migrations.errors import RevisionFailed
from dbschema.migrations.history import History
from dbschema.migrations.resumable import ResumableRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pair import Pair

WriteHistory: TypeAlias = "Callable[..., Path]"
UNDISTURBED = "undisturbed"

STEPS = {
    "one": 'op.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")',
    "two": """
op.execute("INSERT INTO t SELECT i, i % 100 FROM generate_series(1, 500) AS i")
{pause}
op.execute("UPDATE t SET n = 2 * n")
""",
    "three": """
with op.get_context().autocommit_block():
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS t_n")
    op.execute("CREATE INDEX CONCURRENTLY t_n ON t (n)")
""",
    "four": 'op.execute("CREATE TABLE u AS SELECT DISTINCT n FROM t")',
}


class Upgrade(threading.Thread):
    """An upgrade of server 1 in a thread, and how it ended."""

    def __init__(self, settings: connect.Settings, scripts: Path, **options: Any) -> None:
        super().__init__(daemon=True)
        self._settings, self._scripts, self._options = settings, scripts, options
        self.steps: list[tuple[str, int, int, bool]] = []
        self.run_made: result.RunResult | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        def on_step(step: result.Step) -> None:
            self.steps.append((step.revision.id, step.number, step.total, step.done))

        try:
            self.run_made = runner.upgrade(
                self._settings, location=self._scripts, on_step=on_step, **self._options
            )
        except BaseException as error:
            self.error = error

    def ended(self) -> result.RunResult:
        self.join(60)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        assert self.run_made is not None
        return self.run_made


@pytest.fixture
def settings(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[connect.Settings]:
    """Server 1, with failover."""
    monkeypatch.setenv("DB_FAILOVER_SECONDS", "30")
    monkeypatch.setenv("DB_FAILOVER_HOSTS", PATTERN)
    yield connect.resolve(pair.url("1"))
    release_resources()


@pytest.fixture
def scripts(write_history: WriteHistory, tmp_path: Path) -> Path:
    """A history whose second revision stands still until the file `go` is there."""
    pause = f"if not Path({str(tmp_path / 'go')!r}).exists():\n    op.execute('SELECT pg_sleep(60)')"
    return write_history(**{name: code.replace("{pause}", pause) for name, code in STEPS.items()})


def until(pair: Pair, query: str, name: str = "1") -> None:
    """Wait until a server answers a question with something."""
    deadline = time.monotonic() + 60
    while not pair.ask(name, query):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def waits_for(event: str) -> str:
    return f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbschema' AND wait_event = '{event}'"


def content(url: str) -> tuple[Any, ...]:
    """The catalog and the rows of a database."""
    with connect.create_engine(connect.resolve(url)).connect() as connection:
        entries = introspect.read(connection).entries
        facts = sorted((str(identity), sorted(map(str, one.items()))) for identity, one in entries.items())
        queries = (
            "SELECT * FROM alembic_version",
            "SELECT * FROM t ORDER BY id",
            "SELECT n FROM u ORDER BY n",
        )
        return facts, *([tuple(row) for row in connection.exec_driver_sql(query)] for query in queries)


def undisturbed(pair: Pair, scripts: Path) -> tuple[Any, ...]:
    """What the same history makes of another database of the new writer."""
    with psycopg.connect(pair.url("2"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {UNDISTURBED} TEMPLATE template0")
    url = pair.url("2").rpartition("/")[0] + f"/{UNDISTURBED}"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DB_FAILOVER_SECONDS", raising=False)
        runner.upgrade(url, location=scripts)
        return content(url)


def now(pair: Pair) -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DB_FAILOVER_SECONDS", raising=False)
        return content(pair.url("2"))


def test_an_upgrade_whose_writer_dies_within_a_revision_ends_on_the_next_as_an_undisturbed_one(
    pair: Pair, settings: connect.Settings, scripts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = Upgrade(settings, scripts)
    upgrade.start()
    until(pair, waits_for("PgSleep"))

    (tmp_path / "go").touch()
    with caplog.at_level(logging.WARNING, "dbschema.migrations"):
        pair.fail_over()
        run = upgrade.ended()

    assert (run.before, run.after, run.left) == (None, "four", ())
    assert [step.id for step in run.steps] == ["one", "two", "three", "four"]
    # The second is begun twice, and each keeps its number in the whole run.
    assert [step for step in upgrade.steps if not step[3]] == [
        ("one", 1, 4, False), ("two", 2, 4, False), ("two", 2, 4, False), ("three", 3, 4, False), ("four", 4, 4, False),
    ]  # fmt: skip
    assert "The run continues on the new writer instance" in caplog.text
    assert now(pair) == undisturbed(pair, scripts)


def test_a_commit_that_the_standby_had_is_not_made_twice(
    pair: Pair, settings: connect.Settings, write_history: WriteHistory
) -> None:
    """The answer to COMMIT never came, and the new writer knows the transaction: the version table tells."""
    scripts = write_history(
        one='op.execute("CREATE TABLE t AS SELECT 1 AS id, 1 AS n")',
        two='op.execute("UPDATE t SET n = n + 1")',
        three='op.execute("CREATE TABLE u AS SELECT n FROM t")',
    )
    runner.upgrade(settings, "one", location=scripts)
    pair.ask("2", "SELECT pg_wal_replay_pause()")
    upgrade = Upgrade(settings, scripts)
    upgrade.start()
    until(pair, waits_for("SyncRep"))

    pair.fail_over()
    run = upgrade.ended()

    assert [step.id for step in run.steps] == ["two", "three"]
    assert [name for name, _, _, done in upgrade.steps if not done] == ["two", "three"]
    assert pair.ask("2", "SELECT n FROM u") == 2


def test_a_concurrent_index_is_built_anew_on_the_next_writer(
    pair: Pair, settings: connect.Settings, scripts: Path, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    runner.upgrade(settings, "two", location=scripts)
    writer = psycopg.connect(pair.url("1"))
    writer.execute("UPDATE t SET n = n WHERE id = 1")
    upgrade = Upgrade(settings, scripts)
    upgrade.start()
    until(pair, "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'")

    pair.fail_over()
    run = upgrade.ended()
    writer.close()

    assert [step.id for step in run.steps] == ["three", "four"]
    assert now(pair) == undisturbed(pair, scripts)


def test_a_writer_that_dies_between_two_statements_is_noticed_by_the_lock_as_well(
    pair: Pair, settings: connect.Settings, write_history: WriteHistory, tmp_path: Path
) -> None:
    """The revision does something else than SQL while the server goes: both connections are gone when it comes back."""
    flag = tmp_path / "go"
    wait = f"Path({str(tmp_path / 'here')!r}).touch()\nwhile not Path({str(flag)!r}).exists():\n    time.sleep(0.01)"
    scripts = write_history(
        one=f'op.execute("CREATE TABLE t ()")\n{wait}', two='op.execute("CREATE TABLE u ()")'
    )
    upgrade = Upgrade(settings, scripts)
    upgrade.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "here").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    pair.fail_over()
    flag.touch()
    run = upgrade.ended()

    assert [step.id for step in run.steps] == ["one", "two"]
    assert pair.ask(
        "2", "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
    ) == ("alembic_version,t,u")


def test_a_run_that_somebody_ends_does_not_come_back(
    pair: Pair, settings: connect.Settings, scripts: Path
) -> None:
    """pg_terminate_backend on a server that stays is meant: no failover."""
    upgrade = Upgrade(settings, scripts)
    upgrade.start()
    until(pair, waits_for("PgSleep"))

    pair.ask("1", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")

    with pytest.raises(RevisionFailed) as caught:
        upgrade.ended()
    assert caught.value.sqlstate == "57P01"
    assert pair.ask("1", "SELECT version_num FROM alembic_version") == "one"


def test_without_failover_the_run_ends_with_an_error_and_the_next_one_goes_on(
    pair: Pair, scripts: Path, tmp_path: Path
) -> None:
    upgrade = Upgrade(connect.resolve(pair.url("1")), scripts)
    upgrade.start()
    until(pair, waits_for("PgSleep"))

    (tmp_path / "go").touch()
    pair.fail_over()

    with pytest.raises(RevisionFailed, match=r"two.*repeat the command"):
        upgrade.ended()
    assert [step.id for step in runner.upgrade(pair.url("2"), location=scripts).steps] == [
        "two",
        "three",
        "four",
    ]


def test_where_no_instance_takes_over_the_run_ends_in_time_and_says_so(
    pair: Pair, settings: connect.Settings, scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_FAILOVER_SECONDS", "1")
    upgrade = Upgrade(connect.resolve(pair.url("1")), scripts)
    upgrade.start()
    until(pair, waits_for("PgSleep"))

    pair.stop("1")

    with pytest.raises(errors.NoWriter, match="DB_FAILOVER_SECONDS"):
        upgrade.ended()


def test_a_comparison_after_the_run_is_made_on_the_next_writer(
    pair: Pair, settings: connect.Settings, write_history: WriteHistory
) -> None:
    """Also where the writer dies while it compares, when nothing is left to do but that."""
    scripts = write_history(one='op.execute("CREATE TABLE t ()")')
    asked: list[str] = []

    def compare(connection: Any) -> list[str]:
        asked.append(connection.connection.driver_connection.info.host)
        if len(asked) == 1:
            pair.fail_over()
        connection.exec_driver_sql("SELECT FROM t")
        return ["a difference"]

    run = runner.upgrade(settings, location=scripts, compare=compare)

    assert asked == [HOSTS["1"], HOSTS["2"]]
    assert run.differences == ("a difference",)
    assert [step.id for step in run.steps] == ["one"]


def test_a_name_that_leads_to_the_former_writer_leads_to_the_present_one(
    pair: Pair, settings: connect.Settings
) -> None:
    """As the cluster's endpoint does for a while: it is up again, and a standby."""
    to_the_standby = connect.resolve(pair.url("2"))

    with connect.open(to_the_standby) as connection:
        host = connection.info.host
    with connect.create_engine(to_the_standby).connect() as alchemy:
        driver: Any = alchemy.connection.driver_connection
        other = driver.info.host

    assert (host, other) == (HOSTS["1"], HOSTS["1"])
    assert runner.status(to_the_standby).in_recovery is False


@pytest.mark.asyncio
async def test_an_asynchronous_connection_leads_to_the_writer_as_well(
    pair: Pair, settings: connect.Settings
) -> None:
    engine = create_async_engine(connect.resolve(pair.url("2")))

    async with engine.connect() as connection:
        port_and_role = (
            await connection.exec_driver_sql("SELECT host(inet_server_addr()), pg_is_in_recovery()")
        ).one()
    await engine.dispose()

    assert tuple(port_and_role) == (HOSTS["1"], False)


def test_a_run_that_met_no_failover_tells_its_own_steps_and_not_those_of_another_run(
    write_history: WriteHistory,
) -> None:
    """Both saw an empty database, and the other one had the lock first."""
    history = History(write_history(one="pass", two="pass"))
    settings = connect.resolve("postgresql://nobody@127.0.0.1/shop")
    journey = ResumableRun(settings, history, "upgrade", None, history.goal("upgrade", "head"), "a server")
    nothing = result.RunResult("shop", "two", "two", ())

    assert journey.run(lambda _settings, _goal: nothing, stop_at=None) == nothing


def test_what_a_server_refuses_is_told_at_once_as_without_failover(
    pair: Pair, settings: connect.Settings
) -> None:
    wrong = pair.url("1").replace(pair.password, "wrong")

    with pytest.raises(errors.WrongPassword):
        runner.status(wrong)
    with pytest.raises(errors.UnknownDatabase):
        runner.status(settings.for_database("nonesuch"))


def test_connections_are_as_those_without_failover(pair: Pair, settings: connect.Settings) -> None:
    plain = connect.Settings(settings.address, "a test")

    with connect.open(plain) as one, connect.open(settings) as other:
        assert one.info.get_parameters() == other.info.get_parameters()
        assert (one.autocommit, one.prepare_threshold) == (other.autocommit, other.prepare_threshold)
    with connect.open(plain, autocommit=True) as one, connect.open(settings, autocommit=True) as other:
        assert one.autocommit is other.autocommit is True
