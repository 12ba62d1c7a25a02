"""Deployments through CDK's provider framework: what CloudFormation sends, what it is answered, where the database ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from archives import build, copy_checkout, interpreter, unpack
from dbschema_infra.archive import Archive
from framework import FUNCTION, IS_COMPLETE
from stack import AT_THE_GATE, GATE, REVISION

if TYPE_CHECKING:
    from pathlib import Path

    from stack import Stack


@pytest.fixture
def installed(stack: Stack) -> Stack:
    """A stack that was deployed once: its database is at the head of this checkout."""
    stack.migrated()
    assert stack.deploy("Create").status == "SUCCESS"
    return stack


# --- What succeeds ---------------------------------------------------------------------------


def test_create_migrates_an_empty_database(stack: Stack) -> None:
    answer = stack.deploy("Create")

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "upgraded"), answer.reason
    assert answer.physical_id == f"dbschema:{stack.host}:{stack.database}"
    assert stack.versions() == [stack.head]
    assert {"tenants", "incidents"} <= stack.tables()


def test_update_with_nothing_new_changes_nothing(installed: Stack) -> None:
    before = installed.physical_id

    answer = installed.deploy("Update", CodeHash="of another build")

    assert (answer.status, answer.data["Outcome"], answer.data["Applied"]) == ("SUCCESS", "current", "0")
    assert answer.physical_id == before


def test_update_with_an_archive_that_has_one_more_revision_applies_it(
    installed: Stack, tmp_path: Path
) -> None:
    """Built from a checkout with a revision more, as a release is."""
    checkout = copy_checkout(tmp_path / "checkout")
    text = REVISION.format(
        slug="add_pets", down=installed.head, up="CREATE TABLE pets ()", down_sql="DROP TABLE pets"
    )
    (checkout / "alembic" / "versions" / "20990101_0000_add_pets.py").write_text(text)
    built = build(interpreter().target, tmp_path / "dist", root=checkout)
    installed.release(unpack(built, tmp_path / "next"), Archive.open(built).head_revision)
    before = installed.physical_id

    answer = installed.deploy("Update")

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "upgraded"), answer.reason
    assert (answer.data["Revision"], answer.data["Applied"]) == ("add_pets", "1")
    assert answer.physical_id == before
    assert installed.versions() == ["add_pets"]
    assert "pets" in installed.tables()


def test_older_code_leaves_a_newer_database_as_it_is(installed: Stack) -> None:
    """CloudFormation takes the code back first when something else in the stack has failed, and then sends an Update."""
    older = installed.task_root, installed.head
    installed.release_revision("newer", "CREATE TABLE pets ()", down_sql="DROP TABLE pets")
    installed.deploy("Update")
    installed.release(*older)

    answer = installed.deploy("Update")

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "newer"), answer.reason
    assert "only goes forward" in answer.data["Message"]
    assert installed.versions() == ["newer"]
    assert "pets" in installed.tables()


def test_delete_leaves_the_tables(installed: Stack) -> None:
    before = installed.physical_id, installed.tables()

    answer = installed.deploy("Delete")

    assert (answer.status, answer.physical_id, installed.tables()) == ("SUCCESS", *before)


def test_delete_needs_neither_database_nor_secret(installed: Stack) -> None:
    installed.variables = {"DB_PORT": "1", "DB_SECRET_ARN": f"{installed.secret}-that-is-gone"}

    answer = installed.deploy("Delete")

    assert (answer.status, answer.physical_id) == ("SUCCESS", installed.physical_id)


def test_a_migration_longer_than_a_call_goes_on_in_the_next_ones(installed: Stack) -> None:
    """Six revisions of three seconds each, and calls of fifteen: the first call does not come to the end."""
    for number in range(6):
        installed.release_revision(f"long_{number}", f"CREATE TABLE long_{number} (); SELECT pg_sleep(3)")
    installed.timeout = 15.0

    answer = installed.deploy("Update")

    assert (answer.status, answer.data.get("Revision")) == ("SUCCESS", "long_5"), answer.reason
    assert installed.service.invocations[0] == FUNCTION
    assert installed.service.invocations.count(IS_COMPLETE) >= 1
    assert installed.service.invocations.count(FUNCTION) == 1
    assert installed.versions() == ["long_5"]


# --- What fails ------------------------------------------------------------------------------


def test_a_revision_that_fails_is_named_and_leaves_the_database_unchanged(installed: Stack) -> None:
    before, head = installed.tables(), installed.head
    installed.release_revision("divides_by_zero", "CREATE TABLE half (); SELECT 1 / 0")

    answer = installed.deploy("Update")

    assert answer.status == "FAILED"
    assert "divides_by_zero" in answer.reason
    assert "division by zero" in answer.reason
    assert f"/aws/lambda/{FUNCTION}" in answer.reason
    assert installed.versions() == [head]
    assert installed.tables() == before


def test_after_a_failed_create_delete_asks_nobody(stack: Stack) -> None:
    stack.release_revision("divides_by_zero", "SELECT 1 / 0")
    failed = stack.deploy("Create")
    stack.physical_id = failed.physical_id
    asked = list(stack.service.invocations)

    answer = stack.finish(stack.begin("Delete"))

    assert (failed.status, answer.status) == ("FAILED", "SUCCESS")
    assert stack.service.invocations == asked


def test_a_long_error_fits_into_an_answer(installed: Stack) -> None:
    """`Stack.finish` refuses a longer one, as CloudFormation does."""
    installed.release_revision("talks", "DO $$ BEGIN RAISE EXCEPTION '%', repeat('blah ', 1000); END $$")

    answer = installed.deploy("Update")

    assert answer.status == "FAILED"
    assert "talks" in answer.reason
    assert "blah blah" in answer.reason
    assert "the log has the whole" in answer.reason
    assert "blah " * 999 in installed.service.log()


@pytest.mark.parametrize("wanted", ["c0ffee", "headd"])
def test_a_mistyped_target_fails_and_changes_nothing(installed: Stack, wanted: str) -> None:
    installed.release_revision("never_applied", "CREATE TABLE pets ()")
    before = installed.versions()

    answer = installed.deploy("Update", HeadRevision=wanted)

    assert answer.status == "FAILED"
    assert wanted in answer.reason
    assert installed.versions() == before


def test_a_mistyped_target_of_a_plain_call_fails_too(installed: Stack) -> None:
    answer = installed.invoke({"action": "upgrade", "revision": "c0ffee"})

    assert answer["errorType"] == "UnknownRevision"
    assert "c0ffee" in answer["errorMessage"]


def test_a_plain_call_tells_where_the_database_stands(installed: Stack) -> None:
    answer = installed.invoke({"action": "status"})

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["current"] == [installed.head]


# --- What is cut off -------------------------------------------------------------------------


def test_a_dropped_connection_makes_two_runs_one_migration_and_one_answer(installed: Stack) -> None:
    """The SDK calls again, while the first process is still at work and knows nothing of it."""
    installed.release_revision("slow", GATE)
    installed.close_gate()
    installed.put_code()
    cut = installed.service.drop_next()

    request = installed.begin("Update")
    installed.wait_until(AT_THE_GATE)
    cut.set()
    installed.wait_until(lambda: "Waiting for another run" in installed.service.log())
    installed.open_gate()
    answer = installed.finish(request)
    installed.wait_until(lambda: all(one.call is None for one in installed.service.sandboxes))

    assert answer.status == "SUCCESS", answer.reason
    assert installed.service.invocations.count(FUNCTION) == 2
    assert [one.served for one in installed.service.sandboxes if one.definition.name == FUNCTION] == [1, 1]
    assert installed.versions() == ["slow"]
    assert installed.done() == ["once"]


def test_a_function_that_is_killed_in_a_revision_is_told_and_the_next_call_succeeds(installed: Stack) -> None:
    head = installed.head
    installed.release_revision("slow", GATE)
    installed.close_gate()
    installed.put_code()

    request = installed.begin("Update")
    installed.wait_until(AT_THE_GATE)
    installed.service.time_out()
    failed = installed.finish(request)
    before = installed.versions(), installed.done()
    installed.open_gate()
    answer = installed.deploy("Update")

    assert (failed.status, before) == ("FAILED", ([head], []))
    assert "Task timed out" in failed.reason
    assert (answer.status, answer.data["Outcome"]) == ("SUCCESS", "upgraded")
    assert installed.versions() == ["slow"]
    assert installed.done() == ["once"]


def test_a_migration_that_never_ends_is_given_up_in_time_with_one_answer(installed: Stack) -> None:
    """No call comes to the end of the revision: the function says so itself, before it would be killed."""
    head = installed.head
    installed.release_revision("endless", GATE)
    installed.close_gate()
    installed.timeout = 20.0

    answer = installed.deploy("Update")

    assert answer.status == "FAILED"
    assert "endless" in answer.reason
    assert "Task timed out" not in answer.reason
    assert installed.versions() == [head]
    assert installed.done() == []
