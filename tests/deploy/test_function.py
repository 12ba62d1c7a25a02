"""The function as Lambda runs it: the real runtime client over HTTP, and a real PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from cloudformation import SIGNED, cloudformation
from dbschema.migrations.history import History

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connect.conftest import Aws, Role
    from lambda_runtime import Answer, Function

HEAD = str(History().head)
COUNTED = (
    "op.execute('CREATE TABLE IF NOT EXISTS runs (id text)'); op.execute(\"INSERT INTO runs VALUES ('{0}')\")"
)
GATED = """
op.execute("CREATE TABLE gated (id int)")
while not Path({gate!r}).exists():
    op.execute("SELECT pg_sleep(0.1)")
"""


@pytest.fixture
def plain_url(new_database: Callable[..., str]) -> str:
    """An empty database, as psql reads its address."""
    return new_database(driver="")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that revisions wait for."""
    return tmp_path / "gate"


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(url: str) -> set[object]:
    return {
        name
        for (name,) in rows(url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    }


def wait_for(pending: object, word: str) -> None:
    """Until the function has written `word` into its log."""
    while word not in pending.log:  # type: ignore[attr-defined]  # a Pending
        assert pending.invocation.answered.wait(0.02) is False, pending.log  # type: ignore[attr-defined]  # as above


# Plain invokes


def test_a_plain_invoke_brings_an_empty_database_to_the_head_and_answers_questions(
    start_function: Callable[..., Function], plain_url: str
) -> None:
    function = start_function(DATABASE_URL=plain_url)

    first, second = function.invoke({}), function.invoke({})
    found = {name: function.invoke({"action": name}).body for name in ("status", "check", "verify", "seed")}

    assert set(first.payload) == {"statusCode", "body"}
    assert first.payload["statusCode"] == 200
    assert first.body["message"] == "Database schema initialized successfully"
    assert first.body["revision"] == HEAD
    assert first.body["applied"][-1]["id"] == HEAD
    assert (second.body["message"], second.body["applied"]) == (first.body["message"], [])
    assert found["status"]["ok"]
    assert found["status"]["current"] == [HEAD]
    assert found["check"] == {**found["check"], "ok": True, "count": 0, "differences": []}
    assert found["verify"]["ok"]
    assert found["verify"]["failed"] == 0
    assert found["seed"]["ok"]
    assert function.starts == 1


def test_findings_are_an_answer(
    start_function: Callable[..., Function], new_database: Callable[..., str]
) -> None:
    url = new_database(migrated=True, driver="")
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE incidents DISABLE ROW LEVEL SECURITY")
        connection.execute("CREATE TABLE stray (id int)")
    function = start_function(DATABASE_URL=url)

    check, verify = function.invoke({"action": "check"}).body, function.invoke({"action": "verify"}).body

    assert (check["ok"], verify["ok"]) == (False, False)
    assert "incidents" in {one["name"] for one in check["differences"]} | {
        one["table"] for one in check["differences"]
    }
    assert verify["failed"] == len(verify["failures"]) + verify.get("failures_omitted", 0) > 0


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        ({"action": "upgrade", "revision": "0123abcd"}, "UnknownRevision", "no revision '0123abcd'"),
        ({"action": "downgrade", "revision": "base"}, "DowngradeNotAllowed", "DBSCHEMA_ALLOW_DOWNGRADE=1"),
        ({"action": "drop"}, "BadEvent", "one of upgrade, status, check, verify, seed, downgrade"),
    ],
)
def test_a_plain_invoke_that_is_wrong_fails_and_changes_nothing(
    start_function: Callable[..., Function], plain_url: str, event: object, error: str, text: str
) -> None:
    answer = start_function(DATABASE_URL=plain_url).invoke(event)

    assert (answer.failed, answer.error) == (True, error)
    assert text in answer.text
    assert tables(plain_url) == set()


def test_a_downgrade_is_done_where_it_is_allowed(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=COUNTED.format(2))
    function = start_function(
        DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), DBSCHEMA_ALLOW_DOWNGRADE="1"
    )
    function.invoke({})

    answer = function.invoke({"action": "downgrade", "revision": "-1"})

    assert answer.body["revision"] == "one"
    assert answer.body["taken_back"] == [{"id": "two", "doc": "Do two"}]
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == [("one",)]


def test_without_an_address_the_variables_are_named(start_function: Callable[..., Function]) -> None:
    answer = start_function().invoke({})

    assert answer.error == "NoAddressInLambda"
    assert "Set DB_SECRET_ARN, RDS_SECRET_ARN, DB_SSM_PREFIX or DATABASE_URL" in answer.text


# CloudFormation behind the provider framework


def test_a_stack_is_created_updated_and_deleted(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    older = write_history("older", one=COUNTED.format(1))
    newer = write_history("newer", one=COUNTED.format(1), two=COUNTED.format(2))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(older))
    updated = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(newer))

    created = function.invoke(cloudformation("Create")).payload
    nothing = function.invoke(
        cloudformation("Update", PhysicalResourceId=created["PhysicalResourceId"])
    ).payload
    new = updated.invoke(cloudformation("Update", PhysicalResourceId=created["PhysicalResourceId"])).payload
    gone = (
        start_function(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
        .invoke(cloudformation("Delete"))
        .payload
    )

    identity = created["PhysicalResourceId"]
    assert identity == f"dbschema:127.0.0.1:{plain_url.rpartition('/')[2]}"
    assert {one["PhysicalResourceId"] for one in (created, nothing, new)} == {identity}
    assert [one["Data"]["Outcome"] for one in (created, nothing, new)] == ["upgraded", "current", "upgraded"]
    assert [one["Data"]["Revision"] for one in (created, nothing, new)] == ["one", "one", "two"]
    assert gone == {"PhysicalResourceId": "dbschema:an-older-host:shop"}
    assert rows(plain_url, "SELECT id FROM runs ORDER BY id") == [("1",), ("2",)]


def test_code_that_was_rolled_back_leaves_a_newer_database_as_it_is(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    newer = write_history("newer", one=COUNTED.format(1), two=COUNTED.format(2))
    older = write_history("older", one=COUNTED.format(1))
    start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(newer)).invoke({})
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(older))

    rolled_back = function.invoke(cloudformation("Update", properties={"HeadRevision": "one"}))
    invoked = function.invoke({})
    mistyped = function.invoke({"action": "upgrade", "revision": "twoo"})

    assert not rolled_back.failed, rolled_back.payload
    assert rolled_back.payload["Data"]["Outcome"] == "newer"
    assert "only goes forward" in rolled_back.payload["Data"]["Message"]
    assert "only goes forward" in invoked.body["message"]
    assert mistyped.error == "UnknownRevision"
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == [("two",)]


def test_an_archive_that_is_not_the_one_the_stack_means_is_refused_before_anything_is_done(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(base1=COUNTED.format(1), base2=COUNTED.format(2))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    older = function.invoke(cloudformation("Update", properties={"HeadRevision": "base3"}))
    before = tables(plain_url)
    newer = function.invoke(cloudformation("Update", properties={"HeadRevision": "base1"}))

    assert older.error == "WrongArchive"
    assert "asks for base3, and the archive of this function ends at base2" in older.text
    assert before == set()
    assert newer.payload["Data"]["Revision"] == "base2"


def test_a_migration_goes_on_in_one_call_after_the_other_until_it_is_complete(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)), three=COUNTED.format(3))
    variables = {"DATABASE_URL": plain_url, "DBSCHEMA_SCRIPT_LOCATION": str(scripts)}
    function = start_function(**variables)
    completing = start_function("lambda_entry.is_complete", **variables)
    event = cloudformation("Create")

    first = function.invoke(event, seconds=8)
    event |= first.payload
    gate.touch()
    second = completing.invoke(event, seconds=60)
    done = completing.invoke({**event, "Data": second.payload.get("Data")})

    assert "Data" not in first.payload
    assert second.payload["IsComplete"] is True
    assert second.payload["Data"]["Revision"] == "three"
    assert done.payload == {"IsComplete": True}
    assert rows(plain_url, "SELECT id FROM runs ORDER BY id") == [("1",), ("3",)]


def test_while_a_revision_needs_longer_the_framework_asks_again_until_it_cannot_end_well(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    scripts = write_history(one=GATED.format(gate=str(gate)))
    function = start_function(
        "lambda_entry.is_complete", DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts)
    )
    function.invoke(cloudformation("Create", Data={"Outcome": "upgraded"}))  # the process is warm

    answer = function.invoke(cloudformation("Create", PhysicalResourceId="dbschema:h:d"), seconds=10)

    assert answer.error == "StepTooLong", answer.payload
    assert "Revision one was stopped" in answer.text
    assert "raise the function's timeout" in answer.text
    assert tables(plain_url) <= {"alembic_version", "alembic_version_pkc"}


def test_what_is_deleted_is_complete(start_function: Callable[..., Function]) -> None:
    function = start_function("lambda_entry.is_complete")

    assert function.invoke(cloudformation("Delete")).payload == {"IsComplete": True}
    assert function.invoke({}).error == "BadEvent"


def test_another_run_is_waited_for_and_then_asked_about_again(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    scripts = write_history(one=GATED.format(gate=str(gate)))
    variables = {"DATABASE_URL": plain_url, "DBSCHEMA_SCRIPT_LOCATION": str(scripts), "DBSCHEMA_WAIT": "0.2"}
    working = start_function(**variables).begin({})
    wait_for(working, "begins")

    framework = start_function(**variables).invoke(cloudformation("Create"))
    asked = start_function("lambda_entry.is_complete", **variables).invoke(
        cloudformation("Create", PhysicalResourceId="dbschema:h:d")
    )
    by_hand = start_function(**variables).invoke({})
    gate.touch()

    assert set(framework.payload) == {"PhysicalResourceId"}
    assert asked.payload == {"IsComplete": False}
    assert by_hand.error == "WorkLeft"
    assert "Another run is at work (process" in by_hand.text
    assert not working.result().failed


# Many at once, and processes that are killed


def test_two_at_once_are_one_migration_and_both_answer(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=COUNTED.format(2))
    variables = {"DATABASE_URL": plain_url, "DBSCHEMA_SCRIPT_LOCATION": str(scripts)}
    pending = [start_function(**variables).begin(cloudformation("Create")) for _ in range(2)]

    answers = [one.result().payload for one in pending]

    assert sorted(one["Data"]["Outcome"] for one in answers) in (
        ["current", "upgraded"],
        ["upgraded", "upgraded"],
    )
    assert sum(int(one["Data"]["Applied"]) for one in answers) == 2
    assert answers[0]["PhysicalResourceId"] == answers[1]["PhysicalResourceId"]
    assert rows(plain_url, "SELECT id FROM runs ORDER BY id") == [("1",), ("2",)]


def test_a_process_that_is_killed_in_a_revision_loses_nothing(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))
    pending = function.begin(cloudformation("Create"))
    wait_for(pending, "Revision two (Do two) begins")

    function.kill()
    killed = pending.result()
    gate.touch()
    again = function.invoke(cloudformation("Create"))

    assert killed.error == "Runtime.ExitError"
    assert again.payload["Data"]["Revision"] == "two"
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_after_a_timeout_in_a_revision_that_cannot_be_stopped_the_next_call_succeeds(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    """It waits in Python, where no server can cancel it."""
    waits = (
        f"op.execute('CREATE TABLE t (id int)')\nwhile not Path({str(gate)!r}).exists():\n    time.sleep(0.1)"
    )
    scripts = write_history(one=waits)
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    late = function.invoke(cloudformation("Create"), seconds=5)
    gate.touch()
    again = function.invoke(cloudformation("Create"))

    assert late.error == "Sandbox.Timedout"
    assert again.payload["Data"]["Revision"] == "one"
    assert function.starts == 2


# What fails


def test_a_revision_that_fails_is_named_and_leaves_nothing(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    bad = "op.execute('CREATE TABLE half (id int)')\nop.execute('SELECT no_such_column')"
    scripts = write_history(one=COUNTED.format(1), two=bad)
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    answer = function.invoke(cloudformation("Create"))

    assert answer.error == "RevisionFailed"
    assert "The upgrade of revision two (Do two) failed" in answer.text
    assert 'column "no_such_column" does not exist' in answer.text
    assert "nothing of this revision was kept; one before it stays" in answer.text
    assert "half" not in tables(plain_url)
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == [("one",)]


@pytest.mark.parametrize("sign", ["x", "漢", '\\"', "\\x00"])
def test_an_error_of_5000_characters_is_an_answer_that_cloudformation_takes(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], sign: str
) -> None:
    scripts = write_history(one=f"raise ValueError('{sign}' * 5000)")
    answer = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts)).invoke(
        cloudformation("Create")
    )

    assert answer.error == "RevisionFailed"
    assert answer.text.startswith("The upgrade of revision one (Do one) failed on ")
    assert len(json.dumps(answer.text, ensure_ascii=False).encode()) <= 2502


def test_a_revision_that_ends_the_process_is_an_error_like_any_other(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one="raise SystemExit(3)")
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    answer = function.invoke({})

    assert answer.error == "SystemExit"
    assert "An unexpected error, SystemExit in one.py" in answer.text


def test_a_database_that_cannot_be_reached_is_named(
    start_function: Callable[..., Function], dead_port: Callable[[], int]
) -> None:
    port = dead_port()
    answer = start_function(DATABASE_URL=f"postgresql://ada:s3cr3t@127.0.0.1:{port}/shop").invoke(
        cloudformation("Create")
    )

    assert answer.error == "NothingListens"
    assert f"127.0.0.1:{port}" in answer.text
    assert "s3cr3t" not in answer.text + answer.log


def test_secrets_that_are_wrong_rotated_or_right(
    start_function: Callable[..., Function],
    aws: Aws,
    credentials: dict[str, str],
    owner: Role,
    write_history: Callable[..., Path],
) -> None:
    arn = aws.secret(username=owner.name, password=owner.password)
    scripts = write_history(one=COUNTED.format(1))
    function = start_function(
        **credentials,
        DB_SECRET_ARN=arn,
        DB_HOST=owner.host,
        DB_PORT=str(owner.port),
        DB_NAME=owner.dbname,
        DBSCHEMA_SCRIPT_LOCATION=str(scripts),
    )
    passwords = [owner.password]

    right = function.invoke(cloudformation("Create"))
    owner.change("second-s3cr3t-of-the-role")
    passwords.append(owner.password)
    aws.rotate(arn, username=owner.name, password=owner.password)
    rotated = function.invoke(cloudformation("Update"))
    owner.change("third-s3cr3t-of-the-role")
    passwords.append(owner.password)
    wrong = function.invoke(cloudformation("Update"))

    assert right.payload["Data"]["Outcome"] == "upgraded"
    assert rotated.payload["Data"]["Outcome"] == "current"
    assert wrong.error == "WrongPassword"
    assert "DB_SECRET_ARN" in wrong.text
    assert [
        one for one in (*passwords, credentials["AWS_SECRET_ACCESS_KEY"]) if one in function.everything
    ] == []


# Terraform


def test_terraform_that_only_creates(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    """lifecycle_scope = "CREATE_ONLY": the input as it was written; changed triggers make a new resource."""
    scripts = write_history(one=COUNTED.format(1))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    answers = [function.invoke({"action": "upgrade"}) for _ in range(2)]

    assert [len(answer.body["applied"]) for answer in answers] == [1, 0]


def test_terraform_that_follows_the_whole_life(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    """lifecycle_scope = "CRUD": changed triggers send a deletion first, and the tables must survive it."""
    scripts = write_history(one=COUNTED.format(1))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))
    given = {"action": "upgrade"}

    def life(action: str, before: object = None) -> Answer:
        return function.invoke({**given, "tf": {"action": action, "prev_input": before}})

    created, updated, deleted, again = (
        life("create"),
        life("update", given),
        life("delete", given),
        life("create"),
    )

    assert [len(one.body["applied"]) for one in (created, updated, again)] == [1, 0, 0]
    assert deleted.body["message"].startswith("Nothing to do")
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_nobody_who_does_not_call_again_takes_a_beginning_for_success(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    answer = function.invoke({"tf": {"action": "create", "prev_input": None}}, seconds=8)
    gate.touch()
    again = function.invoke({})

    assert answer.error == "WorkLeft"
    assert "one done; left: two. Call again to go on." in answer.text
    assert [one["id"] for one in again.body["applied"]] == ["two"]


# What is written


def test_the_log_is_json_with_the_id_of_the_request_and_holds_no_secret(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(one=COUNTED.format(1))
    function = start_function(
        DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), POWERTOOLS_LOGGER_LOG_EVENT="true"
    )

    answer = function.invoke(cloudformation("Create", properties={"Password": "s3cr3t-property"}))
    function.invoke({"action": "s3cr3t-action"})

    lines = [line for line in answer.lines if "_aws" not in line]
    assert len(lines) == len(answer.log.splitlines()) - 1
    assert {line["function_request_id"] for line in lines} == {answer.request_id}
    step = next(line for line in lines if line.get("revision") == "one" and "duration" in line)
    assert (step["direction"], step["retries"], step["cold_start"]) == ("upgrade", 0, True)
    (metrics,) = [line for line in answer.lines if "_aws" in line]
    assert {one["Name"] for one in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]} == {
        "Duration",
        "LockWait",
        "AppliedRevisions",
        "Failures",
        "ColdStart",
    }
    assert metrics["AppliedRevisions"] == [1.0]
    password = psycopg.conninfo.conninfo_to_dict(plain_url)["password"]
    secrets = (SIGNED, str(password), "s3cr3t-property", "s3cr3t-action", "ResponseURL")
    assert [one for one in secrets if one in function.everything] == []
