"""Plain CloudFormation, without the provider framework: whatever happens, exactly one answer is put where it waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from cloudformation import SIGNED, cloudformation
from lambda_runtime import FUNCTION_ARN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloudformation import Waiting
    from lambda_runtime import Answer, Function

ONE = "op.execute('CREATE TABLE one (id int)')"
DIRECT = {"DBSCHEMA_CLOUDFORMATION_MODE": "direct", "DBSCHEMA_ALLOW_LOCAL_RESPONSE_URL": "1"}
NOBODY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def function(
    start_function: Callable[..., Function],
    new_database: Callable[..., str],
    write_history: Callable[..., Path],
) -> Callable[..., Function]:
    """A function in direct mode, with one revision or those that are given; more variables by their names."""

    def start(revisions: dict[str, str] | None = None, **variables: str) -> Function:
        scripts = write_history(**(revisions or {"one": ONE}))
        return start_function(
            **{
                "DATABASE_URL": new_database(driver=""),
                "DBSCHEMA_SCRIPT_LOCATION": str(scripts),
                **DIRECT,
                **variables,
            }
        )

    return start


def told(waiting: Waiting, answer: Answer) -> dict[str, Any]:
    """The one answer of CloudFormation; Lambda must not be told of a failure, or it would call again."""
    assert not answer.failed, answer.payload
    assert SIGNED not in answer.log + json.dumps(answer.payload)
    found = waiting.answer
    assert answer.payload == {"Status": found["Status"]}
    assert len(waiting.puts[0][1]) <= 4096
    event = cloudformation("Create")
    assert {name: found[name] for name in ("StackId", "RequestId", "LogicalResourceId")} == {
        name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")
    }
    return found


def test_a_creation_an_update_and_a_deletion(function: Callable[..., Function], waiting: Waiting) -> None:
    made = function()
    answers = []
    for request in ("Create", "Update", "Delete"):
        waiting.puts.clear()
        answers.append(told(waiting, made.invoke(cloudformation(request, url=waiting.url))))

    assert [one["Status"] for one in answers] == ["SUCCESS"] * 3
    assert [one.get("Data", {}).get("Outcome") for one in answers] == ["upgraded", "current", None]
    assert answers[0]["PhysicalResourceId"] == answers[1]["PhysicalResourceId"]
    assert answers[2]["PhysicalResourceId"] == "dbschema:an-older-host:shop"


def test_a_deletion_needs_neither_a_database_nor_settings_that_are_right(
    function: Callable[..., Function], waiting: Waiting
) -> None:
    made = function(DATABASE_URL=NOBODY, DBSCHEMA_COMPARE="perhaps")

    assert told(waiting, made.invoke(cloudformation("Delete", url=waiting.url)))["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("op.execute('SELECT no_such_column')", "The upgrade of revision one (Do one) failed"),
        ("raise ValueError('x' * 5000)", "ValueError: xxxxx"),
        ("raise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_revision_that_fails(
    function: Callable[..., Function], waiting: Waiting, revision: str, reason: str
) -> None:
    found = told(waiting, function({"one": revision}).invoke(cloudformation("Create", url=waiting.url)))

    assert found["Status"] == "FAILED"
    assert reason in found["Reason"]


@pytest.mark.parametrize(
    ("variables", "properties", "reason"),
    [
        ({"DATABASE_URL": NOBODY}, {}, "127.0.0.1:1"),
        ({"DATABASE_URL": ""}, {}, "Set DB_SECRET_ARN"),
        ({"DBSCHEMA_COMPARE": "perhaps"}, {}, "DBSCHEMA_COMPARE"),
        ({"DBSCHEMA_WAIT": "long"}, {}, "DBSCHEMA_WAIT"),
        ({"DBSCHEMA_SCRIPT_LOCATION": "nowhere"}, {}, "nowhere"),
        ({}, {"HeadRevision": ["one"]}, "HeadRevision names no revision"),
        ({}, {"HeadRevision": "two"}, "HeadRevision asks for two"),
    ],
)
def test_what_is_wrong_before_the_work(
    function: Callable[..., Function],
    waiting: Waiting,
    variables: dict[str, str],
    properties: dict[str, Any],
    reason: str,
) -> None:
    made = function(**variables)

    found = told(waiting, made.invoke(cloudformation("Update", url=waiting.url, properties=properties)))

    assert (found["Status"], found["PhysicalResourceId"]) == ("FAILED", "dbschema:an-older-host:shop")
    assert reason in found["Reason"]


@pytest.mark.parametrize("module", ["psycopg", "dbschema.migrations.runner", "aws_lambda_powertools"])
def test_what_cannot_be_imported(
    function: Callable[..., Function], waiting: Waiting, tmp_path: Path, module: str
) -> None:
    """As in an archive for another processor. Without Powertools the function works, and logs by itself."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    made = function(PYTHONPATH=f"{tmp_path}:src:.")

    found = told(waiting, made.invoke(cloudformation("Create", url=waiting.url)))

    if module == "aws_lambda_powertools":
        assert found["Status"] == "SUCCESS"
        assert all(json.loads(line)["service"] == "dbschema" for line in made.everything.splitlines())
    else:
        assert found["Status"] == "FAILED"
        assert "cannot be imported" in found["Reason"]


def test_a_revision_that_does_not_end_in_time_is_told_before_the_time_is_over(
    function: Callable[..., Function], waiting: Waiting
) -> None:
    """One that waits in Python cannot be stopped; CloudFormation is told while it runs, and Lambda then kills it."""
    made = function({"one": ONE, "two": "time.sleep(600)"})

    made.invoke({"action": "status"})  # now the process is warm

    pending = made.begin(cloudformation("Create", url=waiting.url), seconds=5)
    assert waiting.answered.wait(60)
    made.kill()

    assert pending.result().error == "Runtime.ExitError"
    found = waiting.answer
    assert found["Status"] == "FAILED"
    assert "time of this call is over" in found["Reason"]


def test_a_revision_that_is_stopped_in_time_is_told_once(
    function: Callable[..., Function], waiting: Waiting, tmp_path: Path
) -> None:
    """Its end is told, and not that the time is over: 27 seconds lie between the two here, where they are 0.3 otherwise."""
    (tmp_path / "sitecustomize.py").write_text(
        "from dbschema.tools.deploy import deadline\ndeadline._SHORTEST_MARGIN = deadline._LONGEST_MARGIN = 54.0\n"
    )
    made = function({"one": ONE, "two": "op.execute('SELECT pg_sleep(600)')"}, PYTHONPATH=f"{tmp_path}:src:.")

    made.invoke({"action": "status"})  # now the process is warm

    found = told(waiting, made.invoke(cloudformation("Create", url=waiting.url), seconds=60))

    assert found["Status"] == "FAILED"
    assert "one done; left: two" in found["Reason"]


def test_a_network_that_fails_at_first_gets_one_answer(
    function: Callable[..., Function], waiting: Waiting
) -> None:
    waiting.statuses = [0, 503]

    found = told(waiting, function().invoke(cloudformation("Create", url=waiting.url)))

    assert (found["Status"], waiting.refused) == ("SUCCESS", 2)


def test_where_nobody_takes_the_answer_lambda_is_told_and_calls_again(
    function: Callable[..., Function], waiting: Waiting
) -> None:
    waiting.statuses = [403]
    made = function()

    lost = made.invoke(cloudformation("Create", url=waiting.url))
    again = told(waiting, made.invoke(cloudformation("Create", url=waiting.url)))

    assert lost.error == "NotDelivered"
    assert "gateway endpoint" in lost.text
    assert SIGNED not in lost.text + lost.log
    assert again["Data"]["Outcome"] == "current"


@pytest.mark.parametrize("url", ["http://198.51.100.7/answer?" + SIGNED, "file:///etc/passwd?" + SIGNED])
def test_an_address_without_tls_gets_no_answer_and_nothing_is_done(
    function: Callable[..., Function], new_database: Callable[..., str], url: str
) -> None:
    made = function()

    answer = made.invoke(cloudformation("Create", url=url))

    assert answer.error == "BadEvent"
    assert SIGNED not in answer.text + answer.log
    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('one')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("derect", "DBSCHEMA_CLOUDFORMATION_MODE of the function holds an unknown value"),
        ("provider", "CloudFormation calls this function itself"),
        ("", "CloudFormation calls this function itself"),
    ],
)
def test_a_mode_that_is_wrong_is_answered_where_nobody_else_would(
    function: Callable[..., Function], waiting: Waiting, mode: str, reason: str
) -> None:
    """The event tells whom CloudFormation calls: this function, in whatever version, so that no framework answers."""
    made = function(DBSCHEMA_CLOUDFORMATION_MODE=mode)

    found = told(
        waiting, made.invoke(cloudformation("Create", url=waiting.url, ServiceToken=f"{FUNCTION_ARN}:live"))
    )

    assert found["Status"] == "FAILED"
    assert reason in found["Reason"]
    with psycopg.connect(made.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('one')").fetchone() == (None,)


def test_a_deletion_in_a_wrong_mode_succeeds(function: Callable[..., Function], waiting: Waiting) -> None:
    """A stack that cannot be deleted is no help to anybody."""
    made = function(DBSCHEMA_CLOUDFORMATION_MODE="derect")

    behind = made.invoke(cloudformation("Delete", url=waiting.url))
    assert waiting.puts == []
    itself = made.invoke(cloudformation("Delete", url=waiting.url, ServiceToken=FUNCTION_ARN))

    assert behind.payload == {"PhysicalResourceId": "dbschema:an-older-host:shop"}
    assert told(waiting, itself)["Status"] == "SUCCESS"


def test_a_mode_that_is_mistyped_is_an_error_for_the_framework_which_answers(
    function: Callable[..., Function], waiting: Waiting
) -> None:
    answer = function(DBSCHEMA_CLOUDFORMATION_MODE="derect").invoke(cloudformation("Create", url=waiting.url))

    assert answer.error == "BadSetting"
    assert waiting.puts == []


def test_behind_the_framework_nothing_is_put(function: Callable[..., Function], waiting: Waiting) -> None:
    """Its event carries the address of CloudFormation, too."""
    answer = function(DBSCHEMA_CLOUDFORMATION_MODE="provider").invoke(
        cloudformation("Create", url=waiting.url)
    )

    assert not answer.failed
    assert waiting.paths == []
