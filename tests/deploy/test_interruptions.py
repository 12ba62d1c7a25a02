"""Calls beside each other, killed or failing, under the real runtime client: nothing is lost, and all is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from following import COUNTED, GATED, rows, tables, wait_for

from cloudformation import cloudformation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connect.conftest import Aws, Role
    from lambda_runtime import Function


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


@pytest.mark.parametrize("compiles", [False, True])
def test_a_statement_that_runs_when_the_time_is_over_is_cancelled_and_its_revision_undone(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    """By Alembic, and by the compiled statements alone."""
    endless = "op.execute('CREATE TABLE half (id int)')\nop.execute('SELECT pg_sleep(600)')"
    scripts = write_history(one="op.execute('CREATE TABLE whole (id int)')", two=endless)
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))
    function.invoke({"action": "status"})  # now the process is warm

    answer = function.invoke({}, seconds=6)

    assert answer.error == "MigrationIncomplete"
    assert "The time of this call was over" in answer.text
    assert "one done; left: two" in answer.text
    assert "whole" in tables(plain_url)
    assert "half" not in tables(plain_url)
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == [("one",)]


def test_the_server_stops_too_when_the_time_is_over(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    """For a process that is gone, or frozen, by then."""
    limit = "op.execute(\"CREATE TABLE t AS SELECT setting::int AS ms FROM pg_settings WHERE name = 'statement_timeout'\")"
    scripts = write_history(one=limit)
    function = start_function(
        DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), DBSCHEMA_STATEMENT_TIMEOUT="3600"
    )

    function.invoke({}, seconds=100)

    ((milliseconds,),) = rows(plain_url, "SELECT ms FROM t")
    assert 0 < int(str(milliseconds)) < 100_000


def test_after_a_timeout_in_a_revision_that_cannot_be_stopped_the_next_call_succeeds(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], gate: Path
) -> None:
    """It waits in Python, where no server can cancel it."""
    waits = (
        f"op.execute('CREATE TABLE t (id int)')\nwhile not Path({str(gate)!r}).exists():\n    time.sleep(0.1)"
    )
    scripts = write_history(one=waits)
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    function.invoke({"action": "status"})  # now the process is warm

    late = function.invoke(cloudformation("Create"), seconds=4, late=0)
    gate.touch()
    again = function.invoke(cloudformation("Create"))

    assert late.error == "Sandbox.Timedout"
    assert again.payload["Data"]["Revision"] == "one"
    assert function.starts == 2


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
    told = next(line for line in answer.lines if line.get("error") == "RevisionFailed")
    assert told["causes"][0]["error"] == "ValueError"
    assert told["causes"][0]["frames"][-1].startswith("one.py:")
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

    assert answer.error == "Unreachable"
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
