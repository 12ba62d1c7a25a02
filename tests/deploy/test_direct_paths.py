"""Direct mode on the ways that a deployment can take: each run ends in exactly one answer of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from following import COUNTED, GATED, rows, tables, wait_for

from cloudformation import cloudformation
from waking import asleep, awake, port_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloudformation import Waiting
    from connect.conftest import Aws, Role
    from lambda_runtime import Function

DIRECT = {"DBSCHEMA_CLOUDFORMATION_MODE": "direct", "DBSCHEMA_ALLOW_LOCAL_RESPONSE_URL": "1"}


@pytest.fixture
def direct(
    start_function: Callable[..., Function], write_history: Callable[..., Path]
) -> Callable[..., Function]:
    """A function with one revision, and the variables that are given."""
    scripts = write_history(one=COUNTED.format(1))
    return lambda **variables: start_function(DBSCHEMA_SCRIPT_LOCATION=str(scripts), **DIRECT, **variables)


def told(waiting: Waiting) -> dict[str, Any]:
    """The one answer since the last time."""
    found = waiting.answer
    waiting.puts.clear()
    return found


def test_a_new_revision_and_code_that_is_rolled_back(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    waiting: Waiting,
) -> None:
    histories = {
        "older": write_history("older", one=COUNTED.format(1)),
        "newer": write_history("newer", one=COUNTED.format(1), two=COUNTED.format(2)),
    }
    functions = {
        name: start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(folder), **DIRECT)
        for name, folder in histories.items()
    }
    outcomes = []

    for name, request in (("older", "Create"), ("newer", "Update"), ("older", "Update")):
        functions[name].invoke(cloudformation(request, url=waiting.url))
        outcomes.append(told(waiting)["Data"]["Outcome"])

    assert outcomes == ["upgraded", "upgraded", "newer"]
    assert rows(plain_url, "SELECT id FROM runs ORDER BY id") == [("1",), ("2",)]


def test_a_call_that_lambda_repeats_while_the_first_still_works(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    waiting: Waiting,
    gate: Path,
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)))
    functions = [
        start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), **DIRECT)
        for _ in range(2)
    ]
    event = cloudformation("Create", url=waiting.url)

    first = functions[0].begin(event)
    wait_for(first, "Revision two (Do two) begins")
    second = functions[1].begin(event)
    wait_for(second, "Waiting for another run")
    gate.touch()
    assert not any(one.result().failed for one in (first, second))

    answers = [json.loads(body) for _, body in waiting.puts]
    assert [one["Status"] for one in answers] == ["SUCCESS"] * 2
    assert sorted(one["Data"]["Outcome"] for one in answers) == ["current", "upgraded"]
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_a_function_that_is_killed_in_a_revision_is_called_again_by_lambda_and_answers_then(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    waiting: Waiting,
    gate: Path,
) -> None:
    """CloudFormation calls asynchronously: of a call that died, Lambda repeats the event."""
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), **DIRECT)
    event = cloudformation("Create", url=waiting.url)

    call = function.begin(event)
    wait_for(call, "Revision two (Do two) begins")
    function.kill()
    died = call.result()
    answered = len(waiting.puts)
    gate.touch()
    function.invoke(event)

    assert (died.error, answered) == ("Runtime.ExitError", 0)
    assert told(waiting)["Data"] | {"Message": ""} == {
        "Outcome": "upgraded",
        "Revision": "two",
        "Applied": "1",
        "Differences": "0",
        "Message": "",
    }
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_a_revision_that_was_stopped_in_time_is_done_by_the_next_deployment(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    waiting: Waiting,
    gate: Path,
) -> None:
    scripts = write_history(one=COUNTED.format(1), two=GATED.format(gate=str(gate)))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts), **DIRECT)
    function.invoke({"action": "status"})  # now the process is warm

    function.invoke(cloudformation("Create", url=waiting.url), seconds=6)
    stopped, kept = told(waiting), tables(plain_url)
    gate.touch()
    function.invoke(cloudformation("Update", url=waiting.url))
    done = told(waiting)

    assert (stopped["Status"], done["Status"]) == ("FAILED", "SUCCESS")
    assert "time of this call" in stopped["Reason"]
    assert "gated" not in kept
    assert (done["Data"]["Revision"], done["Data"]["Applied"]) == ("two", "1")
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_secrets_that_are_right_rotated_or_wrong(
    direct: Callable[..., Function], aws: Aws, credentials: dict[str, str], owner: Role, waiting: Waiting
) -> None:
    arn = aws.secret(username=owner.name, password=owner.password)
    function = direct(
        **credentials, DB_SECRET_ARN=arn, DB_HOST=owner.host, DB_PORT=str(owner.port), DB_NAME=owner.dbname
    )
    passwords, answers = [owner.password], []

    function.invoke(cloudformation("Create", url=waiting.url))
    answers.append(told(waiting))
    owner.change("second-s3cr3t-of-the-role")
    passwords.append(owner.password)
    aws.rotate(arn, username=owner.name, password=owner.password)
    function.invoke(cloudformation("Update", url=waiting.url))
    answers.append(told(waiting))
    owner.change("third-s3cr3t-of-the-role")
    passwords.append(owner.password)
    function.invoke(cloudformation("Update", url=waiting.url))
    answers.append(told(waiting))

    assert [one["Status"] for one in answers] == ["SUCCESS", "SUCCESS", "FAILED"]
    assert [one["Data"]["Outcome"] for one in answers[:2]] == ["upgraded", "current"]
    assert "DB_SECRET_ARN" in answers[2]["Reason"]
    assert [one for one in passwords if one in function.everything + json.dumps(answers)] == []


def test_a_paused_database_that_wakes(
    direct: Callable[..., Function], plain_url: str, waiting: Waiting
) -> None:
    server = psycopg.conninfo.conninfo_to_dict(plain_url)["port"]
    with asleep() as bound:
        address = plain_url.replace(f":{server}/", f":{port_of(bound)}/")
        function = direct(DATABASE_URL=address, DB_WAKE_SECONDS="60")

        pending = function.begin(cloudformation("Create", url=waiting.url))
        wait_for(pending, "(attempt 2,")
        with awake(bound, int(str(server))):
            pending.result()

    assert told(waiting)["Data"]["Outcome"] == "upgraded"
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]
