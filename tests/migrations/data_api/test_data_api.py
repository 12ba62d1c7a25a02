"""Upgrades through the RDS Data API: as those on a connection, refused by name where they cannot be, and right when calls are lost."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import make_url
from stand_in import Refused

from clock import FastForward
from dbschema import catalog, connect, models
from dbschema.connect import errors
from dbschema.errors import BadSetting, MissingPrivilege
from dbschema.migrations import data_api_executor, lock, result, runner
from dbschema.migrations.errors import (
    DatabaseNewer,
    LockNotGiven,
    RevisionFailed,
    RunnerBusy,
    UnexpectedState,
)
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stand_in import DataApiStandIn

    from dbschema.migrations.revisions import Revision

    History = Callable[..., Path]

THREE = {
    "one": 'op.execute("CREATE TABLE t (n int)")\nop.execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")',
    "two": 'op.execute("UPDATE t SET n = n + 1")',
    "three": 'op.execute("CREATE TABLE u AS SELECT n FROM t")',
}


@pytest.fixture
def ask(fresh_database: str) -> Callable[[str], Any]:
    """The first value of what the database answers on a connection."""
    url = make_url(fresh_database).set(drivername="postgresql").render_as_string(hide_password=False)

    def ask(query: str) -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(query)
            row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    return ask


def tables(ask: Callable[[str], Any]) -> str | None:
    found: str | None = ask(
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
    )
    return found


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dbschema", *arguments],
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_our_own_schema_is_made_as_on_a_connection(
    service: DataApiStandIn, api: connect.DataApi, fresh_database: str
) -> None:
    run = runner.upgrade(api)
    status = runner.status(api)

    assert run.before is None
    assert run.after == status.head
    assert status.up_to_date
    assert (status.source, status.in_recovery) == ("AURORA_CLUSTER_ARN", False)
    with connect.create_engine(connect.resolve(fresh_database)).connect() as connection:
        # Debian prints the version of its package behind that of PostgreSQL.
        assert (
            status.server_version == connection.exec_driver_sql("SHOW server_version").scalar_one().split()[0]
        )
        assert not catalog.check(connection, models.metadata)
    assert service.open_transactions == 0


def test_a_second_run_changes_nothing_and_opens_no_transaction(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History
) -> None:
    scripts = compiled_history(**THREE)
    runner.upgrade(api, location=scripts)
    service.calls.clear()

    run = runner.upgrade(api, location=scripts)

    assert (run.steps, run.before, run.after) == ((), "three", "three")
    assert set(service.calls) == {"Execute"}


def test_each_revision_is_a_transaction_and_is_told(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    told: list[tuple[str, int, int, bool]] = []

    run = runner.upgrade(
        api,
        location=compiled_history(**THREE),
        on_step=lambda step: told.append((step.revision.id, step.number, step.total, step.done)),
    )

    assert [step.id for step in run.steps] == ["one", "two", "three"]
    assert told == [(name, number, 3, done) for number, name in enumerate(THREE, 1) for done in (False, True)]
    assert service.calls.count("CommitTransaction") == 3
    assert ask("SELECT sum(n) FROM u") == 4


def test_a_target_below_the_head_and_a_relative_one(api: connect.DataApi, compiled_history: History) -> None:
    scripts = compiled_history(**THREE)

    first = runner.upgrade(api, "+1", location=scripts)
    second = runner.upgrade(api, "two", location=scripts)

    assert (first.after, second.before, second.after) == ("one", "one", "two")
    assert [one.id for one in runner.status(api, location=scripts).pending] == ["three"]


def test_a_revision_that_fails_leaves_nothing_and_those_before_it_stay(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(
        one=THREE["one"], two='op.execute("CREATE TABLE x ()")\nop.execute("SELECT 1 / 0")'
    )

    with pytest.raises(RevisionFailed, match="division by zero") as caught:
        runner.upgrade(api, location=scripts)

    assert (caught.value.revision, caught.value.done, caught.value.sqlstate) == ("two", ("one",), "22012")
    assert tables(ask) == "alembic_version t"
    assert ask("SELECT version_num FROM alembic_version") == "one"
    assert service.open_transactions == 0


def test_a_revision_that_fails_at_its_commit_is_named_too(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    late = """
op.execute("ALTER TABLE t ADD CONSTRAINT once UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
op.execute("INSERT INTO t VALUES (2); INSERT INTO t VALUES (2)")
"""
    scripts = compiled_history(one='op.execute("CREATE TABLE t (n int)")', two=late)

    with pytest.raises(RevisionFailed, match="duplicate key") as caught:
        runner.upgrade(api, location=scripts)

    assert (caught.value.revision, caught.value.done, caught.value.sqlstate) == ("two", ("one",), "23505")
    assert ask("SELECT version_num FROM alembic_version") == "one"
    assert service.open_transactions == 0


def test_the_first_revision_that_fails_leaves_an_empty_database(
    api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    with pytest.raises(RevisionFailed):
        runner.upgrade(
            api, location=compiled_history(one='op.execute("CREATE TABLE t ()")\nop.execute("TABLE oops")')
        )

    assert tables(ask) is None


def test_a_step_outside_of_a_transaction_is_refused_before_anything_is_changed(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    concurrent = (
        'with op.get_context().autocommit_block():\n    op.execute("CREATE INDEX CONCURRENTLY i ON t (n)")'
    )

    with pytest.raises(errors.DataApiUnsupported, match=r"two.*CONCURRENTLY.*DB_SECRET_ARN"):
        runner.upgrade(api, location=compiled_history(one=THREE["one"], two=concurrent))

    assert tables(ask) is None
    assert "BeginTransaction" not in service.calls


def test_a_revision_that_is_no_plain_sql_is_refused(
    api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    python = 'for row in op.get_bind().exec_driver_sql("SELECT 1"):\n    print(row)'

    with pytest.raises(errors.DataApiUnsupported, match=r"one.*compiled"):
        runner.upgrade(api, location=compiled_history(one=python))

    assert tables(ask) is None


def test_two_runs_at_once_make_one(
    api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(**THREE)
    at_once = threading.Barrier(4)

    def upgrade(_: int) -> result.RunResult:
        at_once.wait()
        return runner.upgrade(api, location=scripts)

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(upgrade, range(4)))

    assert {run.after for run in runs} == {"three"}
    assert ask("SELECT sum(n) FROM u") == 4


def test_a_run_on_a_connection_and_one_through_the_api_exclude_each_other(
    api: connect.DataApi, compiled_history: History, fresh_database: str, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(**THREE)
    another = connect.opener(connect.resolve(fresh_database))
    waited: list[str] = []

    with lock.exclusive(another, "here"), pytest.raises(RunnerBusy, match=r"process .*'dbschema'"):
        runner.upgrade(api, location=scripts, wait=0, on_wait=waited.append)
    transaction = api.begin()
    transaction.execute(f"SELECT pg_try_advisory_xact_lock({lock.KEY})")
    with pytest.raises(RunnerBusy, match="RDS Data API"):
        runner.upgrade(fresh_database, location=scripts, wait=0)
    transaction.rollback()

    assert "process" in waited[0]
    assert tables(ask) is None


def test_a_lock_of_others_is_waited_for_by_trying_again(
    api: connect.DataApi, compiled_history: History, fresh_database: str, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(one=THREE["one"], two='op.execute("ALTER TABLE t ADD COLUMN m int")')
    runner.upgrade(api, "one", location=scripts)
    blocker = connect.open(connect.resolve(fresh_database))
    blocker.execute("LOCK TABLE t IN ACCESS SHARE MODE")

    with pytest.raises(LockNotGiven) as caught:
        runner.upgrade(api, location=scripts, timeouts=Timeouts(retry=0.5))
    blocker.close()
    run = runner.upgrade(api, location=scripts)

    assert caught.value.retries >= 1
    assert run.after == "two"


def test_each_step_is_logged_with_what_it_waited_for_locks(
    api: connect.DataApi, compiled_history: History, fresh_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    scripts = compiled_history(one=THREE["one"], two='op.execute("ALTER TABLE t ADD COLUMN m int")')
    runner.upgrade(api, "one", location=scripts)
    blocker = connect.open(connect.resolve(fresh_database))
    blocker.execute("LOCK TABLE t IN ACCESS SHARE MODE")
    run = data_api_executor.DataApiRun(api, runner.History(scripts), Timeouts())
    pause = run._pause

    def released(*arguments: Any) -> None:
        blocker.close()
        pause(*arguments)

    run._pause = released  # type: ignore[method-assign]  # the lock goes after the first attempt

    with caplog.at_level(logging.INFO, "dbschema.migrations"):
        run.run(run.history.goal("upgrade", "head"))

    (line,) = (record for record in caplog.records if "of revision two" in record.message)
    facts = vars(line)
    assert (facts["revision"], facts["direction"], facts["retries"]) == ("two", "upgrade", 1)
    assert facts["lock_wait"] > 0
    assert facts["duration"] > 0


def test_a_run_that_is_busy_tells_what_was_waited(api: connect.DataApi, fresh_database: str) -> None:
    another = connect.opener(connect.resolve(fresh_database))
    run = data_api_executor.DataApiRun(api, runner.History(), Timeouts(wait=600), time.monotonic())

    with lock.exclusive(another, "here"), pytest.raises(RunnerBusy) as caught:
        run._locked()

    assert 0 < caught.value.waited < 600


def test_a_paused_database_is_waited_for(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, caplog: pytest.LogCaptureFixture
) -> None:
    service.resuming = 3

    with caplog.at_level(logging.INFO, "dbschema.connect"):
        run = runner.upgrade(api, location=compiled_history(one=THREE["one"]))

    assert run.after == "one"
    assert [record.levelname for record in caplog.records if "resumes" in record.message] == [
        "WARNING",
        "INFO",
        "INFO",
    ]


def test_a_database_that_does_not_wake_is_told_in_time(
    service: DataApiStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_WAKE_SECONDS", "0")
    service.resuming = 1_000
    api = connect.behind_data_api()
    assert api is not None

    with pytest.raises(errors.NotReady, match="paused"):
        runner.status(api)


@pytest.mark.parametrize("operation", ["BeginTransaction", "Execute", "CommitTransaction"])
def test_an_answer_that_is_lost_makes_nothing_twice(
    service: DataApiStandIn,
    api: connect.DataApi,
    compiled_history: History,
    ask: Callable[[str], Any],
    operation: str,
) -> None:
    """The call was carried out, and its client does not know: it looks, under the lock, before it goes on."""
    scripts = compiled_history(**THREE)
    runner.upgrade(api, "one", location=scripts)
    told: list[str] = []

    def lose(step: result.Step) -> None:
        told.append(f"{step.revision.id} {step.done}")
        if step.revision.id == "two" and len(told) == 1:
            service.lose_answer_to.append(operation)

    run = runner.upgrade(api, location=scripts, on_step=lose)

    assert [step.id for step in run.steps] == ["two", "three"]
    assert told == ["two False", "two True", "three False", "three True"]
    assert ask("SELECT sum(n) FROM u") == 4
    assert service.lose_answer_to == []


@pytest.mark.parametrize("code", ["TransactionNotFoundException", "BadRequestException"])
@pytest.mark.parametrize("operation", ["Execute", "CommitTransaction"])
def test_a_transaction_that_the_api_has_ended_is_done_again(
    *,
    service: DataApiStandIn,
    api: connect.DataApi,
    compiled_history: History,
    ask: Callable[[str], Any],
    operation: str,
    code: str,
) -> None:
    """Such as one that was idle for three minutes; no statement of the revision was refused."""
    scripts = compiled_history(**THREE)
    runner.upgrade(api, "one", location=scripts)
    service.not_found = code
    told: list[str] = []

    def lose(step: result.Step) -> None:
        told.append(f"{step.revision.id} {step.done}")
        if told == ["two False"]:
            service.forget_at.append(operation)

    run = runner.upgrade(api, location=scripts, on_step=lose)

    assert [step.id for step in run.steps] == ["two", "three"]
    assert told == ["two False", "two True", "three False", "three True"]
    assert ask("SELECT sum(n) FROM u") == 4
    assert service.forget_at == []


def test_a_transaction_that_died_is_ended_by_the_server_and_holds_the_lock_no_longer(
    api: connect.DataApi,
) -> None:
    run = data_api_executor.DataApiRun(api, runner.History(), Timeouts(idle_in_transaction=5.0))

    transaction = run._locked()

    assert transaction.execute("SELECT current_setting('idle_in_transaction_session_timeout')") == [("5s",)]
    assert transaction.execute("SELECT current_setting('lock_timeout')") == [("50ms",)]
    transaction.rollback()


def test_an_api_that_never_answers_ends_the_run(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History
) -> None:
    service.refuse["CommitTransaction"] = Refused("ServiceUnavailableError", status=503)

    with pytest.raises(errors.Unanswered, match="Repeat the command"):
        runner.upgrade(api, location=compiled_history(**THREE))


def test_a_newer_database_is_reported_or_tolerated(api: connect.DataApi, compiled_history: History) -> None:
    runner.upgrade(api, location=compiled_history(**THREE))
    older = compiled_history(one=THREE["one"])

    with pytest.raises(DatabaseNewer):
        runner.upgrade(api, location=older)

    assert runner.upgrade(api, location=older, tolerate_newer=True).unknown == ("three",)
    assert runner.status(api, location=older).unknown == ("three",)


def test_tables_of_others_are_not_touched(
    api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    ask("CREATE TABLE theirs ()")

    with pytest.raises(UnexpectedState, match="theirs"):
        runner.upgrade(api, location=compiled_history(**THREE))

    assert tables(ask) == "theirs"


def test_a_role_without_the_right_to_create_is_refused(
    api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    ask("DROP SCHEMA public")

    with pytest.raises(MissingPrivilege, match="has no schema to create tables in"):
        runner.upgrade(api, location=compiled_history(**THREE))


def test_the_deadline_stops_it_between_two_revisions(api: connect.DataApi, compiled_history: History) -> None:
    run = runner.upgrade(api, location=compiled_history(**THREE), within=0)

    assert (run.after, [one.id for one in run.left]) == (None, ["one", "two", "three"])


def begun_with(seconds: float, revision: str) -> Callable[..., None]:
    """For a run: when it begins `revision`, it has `seconds` left."""

    def on_begin(run: data_api_executor.DataApiRun, begun: Revision, *_: int) -> None:
        if begun.id == revision:
            run.stop_at = time.monotonic() + seconds

    return on_begin


def go(
    api: connect.DataApi, scripts: Path, on_begin: Callable[..., None], timeouts: Timeouts = runner.DEFAULTS
) -> tuple[data_api_executor.DataApiRun, str | None]:
    """A run that has time until `on_begin` says otherwise, and where the database stands then."""
    history = runner.History(scripts)
    run = data_api_executor.DataApiRun(api, history, timeouts, time.monotonic() + 600)
    run.on_begin = lambda *begun: on_begin(run, *begun)
    return run, run.run(history.goal("upgrade", "head"))[1]


def test_the_deadline_stops_it_between_two_statements(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(**THREE)

    run, after = go(api, scripts, begun_with(0, "two"))
    sent = [statement for statement in service.statements if statement.startswith("UPDATE t ")]
    rest = runner.upgrade(api, location=scripts)

    assert (after, sent) == (("one",), [])
    assert run.cut_short > 0
    assert service.open_transactions == 0
    assert [step.id for step in rest.steps] == ["two", "three"]
    assert ask("SELECT sum(n) FROM u") == 4


def test_a_statement_that_runs_at_the_deadline_is_stopped_and_its_revision_is_left(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    scripts = compiled_history(
        one=THREE["one"], two='op.execute("CREATE TABLE x ()")\nop.execute("SELECT pg_sleep(20)")'
    )

    run, after = go(api, scripts, begun_with(0.5, "two"))

    assert after == ("one",)
    assert run.cut_short > 0
    assert tables(ask) == "alembic_version t"
    assert service.open_transactions == 0


def test_a_run_that_is_stopped_in_a_revision_tells_what_is_left(
    api: connect.DataApi, compiled_history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = compiled_history(one='op.execute("SELECT pg_sleep(20)")', two='op.execute("SELECT 2")')
    clock = FastForward()
    monkeypatch.setattr(data_api_executor, "time", clock)

    def near_the_end(_: result.Step) -> None:
        clock.ahead = 599

    run = runner.upgrade(api, location=scripts, within=600, on_step=near_the_end)

    assert (run.before, run.after, run.steps) == (None, None, ())
    assert [one.id for one in run.left] == ["one", "two"]
    assert run.cut_short > 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((500.0, None), (45.0, 45.0)),
        ((30.0, None), (1.0, 30.0)),
        ((30.0, 0.7), (0.7, 0.7)),
        ((500.0, 7.0), (7.0, 7.0)),
    ],
    ids=["far from the end", "near the end", "near it, with a shorter limit", "a limit of the settings"],
)
def test_a_statement_has_no_more_time_than_the_run(
    api: connect.DataApi,
    compiled_history: History,
    ask: Callable[[str], Any],
    given: tuple[float, float | None],
    expected: tuple[float, float],
) -> None:
    limit = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval) AS seconds"
    scripts = compiled_history(one=f'op.execute("CREATE TABLE seen AS {limit}")')

    (seconds, own), (least, most) = given, expected

    _, after = go(api, scripts, begun_with(seconds, "one"), Timeouts(statement=own))

    assert after == ("one",)
    assert least <= float(ask("SELECT seconds FROM seen")) <= most


def test_a_limit_of_the_settings_that_is_reached_before_the_deadline_is_a_failure(
    api: connect.DataApi, compiled_history: History
) -> None:
    scripts = compiled_history(one='op.execute("SELECT pg_sleep(20)")')

    with pytest.raises(RevisionFailed, match="statement timeout") as caught:
        runner.upgrade(api, location=scripts, within=600, timeouts=Timeouts(statement=1.0))

    assert caught.value.sqlstate == "57014"


def test_a_statement_that_takes_too_long_names_the_way_out(
    service: DataApiStandIn, api: connect.DataApi, compiled_history: History, ask: Callable[[str], Any]
) -> None:
    service.statement_seconds = 1.0

    with pytest.raises(RevisionFailed, match=r"45 s.*DB_SECRET_ARN") as caught:
        runner.upgrade(api, location=compiled_history(one='op.execute("SELECT pg_sleep(30)")'))

    assert isinstance(caught.value.__cause__, errors.Cancelled)
    assert tables(ask) is None


def test_a_statement_that_is_too_long_is_not_sent(api: connect.DataApi, compiled_history: History) -> None:
    long = f"op.execute(\"SELECT '{'x' * 70_000}'\")"

    with pytest.raises(RevisionFailed, match=r"65,536.*DB_SECRET_ARN") as caught:
        runner.upgrade(api, location=compiled_history(one=long))

    assert isinstance(caught.value.__cause__, errors.DataApiUnsupported)


@pytest.mark.parametrize(
    ("refused", "kind", "says"),
    [
        (Refused("SecretsErrorException"), errors.AwsDenied, "AURORA_SECRET_ARN"),
        (Refused("ForbiddenException", status=403), errors.AwsDenied, "rds-data:ExecuteStatement"),
        (Refused("AccessDeniedException", status=403), errors.AwsDenied, "rds-data:ExecuteStatement"),
        (Refused("HttpEndpointNotEnabledException"), errors.AwsDenied, "enable-http-endpoint"),
        (Refused("DatabaseNotFoundException", status=404), errors.AwsDenied, "instance"),
        (Refused("InternalServerErrorException", status=500), errors.Unanswered, "Repeat"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_what_the_api_refuses_is_told_with_the_next_step(
    service: DataApiStandIn, api: connect.DataApi, refused: Refused, kind: type[Exception], says: str
) -> None:
    service.refuse["Execute"] = refused

    with pytest.raises(kind, match=says):
        runner.status(api)


def test_a_secret_that_the_server_refuses_and_one_that_was_rotated(
    service: DataApiStandIn, api: connect.DataApi
) -> None:
    """The API reads the secret at each call, so that a rotation needs nothing of us."""
    service.password = "not this one"
    with pytest.raises(errors.WrongPassword, match="AURORA_CLUSTER_ARN"):
        runner.status(api)

    service.password = None

    assert runner.status(api).current == ()


def test_values_of_all_kinds_that_the_api_carries(api: connect.DataApi) -> None:
    row = api.execute("SELECT true, 2, 'three', NULL::text, 4.5::float8, ARRAY['five', 'six']")

    assert row == [(True, 2, "three", None, 4.5, ["five", "six"])]


def test_the_command_line_upgrades_and_shows_the_status(service: DataApiStandIn) -> None:
    before = program("status")
    upgrade = program("upgrade")
    status = program("status", "--json")

    assert before.returncode == 1
    assert "the Data API of shop" in before.stdout
    assert (upgrade.returncode, upgrade.stderr.count("Error")) == (0, 0)
    assert "not compared with the models" in upgrade.stdout
    assert json.loads(status.stdout)["up_to_date"] is True


@pytest.mark.parametrize(
    "command",
    [["check"], ["verify"], ["seed"], ["psql"], ["url"], ["downgrade", "base"]],
    ids=lambda words: words[0],
)
def test_commands_that_need_a_session_say_so(service: DataApiStandIn, command: list[str]) -> None:
    done = program(*command)

    assert done.returncode == 2
    assert "RDS Data API" in done.stderr
    assert "DB_SECRET_ARN" in done.stderr
    assert service.calls == []


def test_a_comparison_that_a_caller_wants_is_refused(api: connect.DataApi) -> None:
    with pytest.raises(errors.DataApiUnsupported, match="comparison"):
        runner.upgrade(api, compare=lambda _: [])


@pytest.mark.parametrize("missing", ["AURORA_SECRET_ARN", "DATABASE_NAME"])
def test_a_part_of_the_address_that_is_not_set_is_named(
    service: DataApiStandIn, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)

    with pytest.raises(BadSetting, match=missing):
        connect.behind_data_api()


def test_another_address_goes_first(service: DataApiStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/app")

    assert connect.behind_data_api() is None


class _Context:
    """What Lambda tells the function about a call."""

    function_name = "migration"
    function_version = "1"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-2:111122223333:function:migration"
    aws_request_id = "7a3f5e9c-0000-4000-8000-000000000001"

    def __init__(self, milliseconds: int = 300_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def log_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log of this process stays as it is, also where the function sets it up."""
    from dbschema.tools.deploy.telemetry import Telemetry  # noqa: PLC0415  as below

    monkeypatch.setattr("dbschema.tools.deploy.handler._TELEMETRY", Telemetry())
    ours = logging.getLogger("dbschema")
    before = (ours.handlers[:], ours.level, ours.propagate)
    yield
    ours.handlers[:], ours.propagate = before[0], before[2]
    ours.setLevel(before[1])


@pytest.mark.usefixtures("log_kept")
def test_the_function_of_lambda_upgrades_by_the_api_and_says_what_it_cannot_do(
    api: connect.DataApi,
    compiled_history: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripts = compiled_history(one='op.execute("CREATE TABLE a (id int)")')
    monkeypatch.setenv("DBSCHEMA_SCRIPT_LOCATION", str(scripts))
    from dbschema.tools.deploy.handler import handler  # noqa: PLC0415  it sets up the log of its process

    first = handler({}, _Context())
    again = handler({"action": "status"}, _Context())

    body = json.loads(first["body"])
    assert (body["message"], body["database"]) == ("Database schema initialized successfully", api.place)
    assert [one["id"] for one in body["applied"]] == ["one"]
    assert json.loads(again["body"])["ok"]
    with pytest.raises(Exception, match="Data API") as caught:
        handler({"action": "verify"}, _Context())
    assert api.secret not in str(caught.value)
    assert api.secret not in capsys.readouterr().out


@pytest.mark.usefixtures("log_kept")
def test_the_function_of_lambda_says_so_where_a_revision_needs_more_than_a_call(
    api: connect.DataApi, compiled_history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes first and is stopped would be stopped in each of the calls that follow."""
    from dbschema.tools.deploy.errors import CallFailed  # noqa: PLC0415  as below
    from dbschema.tools.deploy.handler import handler  # noqa: PLC0415  it sets up the log of its process

    scripts = compiled_history(one='op.execute("SELECT pg_sleep(20)")')
    monkeypatch.setenv("DBSCHEMA_SCRIPT_LOCATION", str(scripts))
    handler({"action": "status"}, _Context())  # all is imported then

    with pytest.raises(CallFailed, match="one was stopped") as caught:
        handler({}, _Context(6_000))

    assert type(caught.value).__name__ == "StepTooLong"
    assert runner.status(api, location=scripts).current == ()
