"""The function as Lambda runs it, invoked by hand or by Terraform: the real runtime client over HTTP, and a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from following import COUNTED, GATED, rows, tables

from cloudformation import SIGNED, cloudformation
from dbschema.migrations.history import History

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambda_runtime import Answer, Function

HEAD = str(History().head)


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


def test_what_differs_from_the_models_after_an_upgrade_is_told_and_no_error(
    start_function: Callable[..., Function], plain_url: str
) -> None:
    with psycopg.connect(plain_url) as connection:
        connection.execute("CREATE FUNCTION stray() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    function = start_function(DATABASE_URL=plain_url)

    answer = function.invoke({})

    assert answer.body["message"] == "Database schema initialized successfully"
    assert answer.body["revision"] == HEAD
    assert [(one["kind"], one["change"]) for one in answer.body["differences"]] == [("function", "extra")]
    assert any("differs from the models" in line.get("message", "") for line in answer.lines)


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
        ({"action": "downgrade", "revision": "base"}, "DeployError", "DBSCHEMA_ALLOW_DOWNGRADE=1"),
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


@pytest.mark.parametrize("event", [{}, {"action": "upgrade", "tf": {"action": "create"}}])
def test_an_upgrade_that_did_nothing_at_a_revision_that_is_not_ours_is_no_success(
    start_function: Callable[..., Function], plain_url: str, event: object
) -> None:
    """Such as that of an application with a line of its own, whose database may lack revisions of ours."""
    with psycopg.connect(plain_url) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('theirs')")

    answer = start_function(DATABASE_URL=plain_url).invoke(event)

    assert not answer.failed
    assert answer.payload["statusCode"] == 200
    assert (answer.body["ok"], answer.body["revision"], answer.body["applied"]) == (False, "theirs", [])
    assert answer.body["message"].startswith("Nothing was done: the database stands at theirs")
    assert tables(plain_url) == {"alembic_version", "alembic_version_pkey"}


def test_any_payload_that_lambda_takes_is_refused_clearly(start_function: Callable[..., Function]) -> None:
    function = start_function()

    answers = [
        function.invoke(text) for text in ("null", "[]", '"{}"', "7", '{"\\ud800": 1}', "[" * 500 + "]" * 500)
    ]

    assert {answer.error for answer in answers} == {"BadEvent"}
    assert all("Send {} for an upgrade" in answer.text for answer in answers)
    assert function.starts == 1


def test_without_an_address_the_variables_are_named(start_function: Callable[..., Function]) -> None:
    answer = start_function().invoke({})

    assert answer.error == "NoAddress"
    assert "Set DB_SECRET_ARN, RDS_SECRET_ARN, DB_SSM_PREFIX or DATABASE_URL" in answer.text


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

    function.invoke({"action": "status"})  # now the process is warm

    answer = function.invoke({"tf": {"action": "create", "prev_input": None}}, seconds=6)
    gate.touch()
    again = function.invoke({})

    assert answer.error == "MigrationIncomplete"
    assert "one done; left: two. Call again to go on." in answer.text
    assert [one["id"] for one in again.body["applied"]] == ["two"]


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
