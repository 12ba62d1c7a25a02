"""CloudFormation behind CDK's provider framework, under the real runtime client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from following import COUNTED, GATED, rows, tables, wait_for

from cloudformation import cloudformation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambda_runtime import Answer, Function


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
    assert not invoked.body["ok"]
    assert mistyped.error == "UnknownRevision"
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == [("two",)]


@pytest.mark.parametrize("handler", ["lambda_entry.handler", "lambda_entry.is_complete"])
def test_a_stack_is_not_created_over_revisions_of_others(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    handler: str,
) -> None:
    """Nothing was rolled back there: that nothing was done must not make a stack that looks right."""
    theirs = write_history("theirs", theirs=COUNTED.format(1))
    ours = write_history("ours", ours=COUNTED.format(2))
    start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(theirs)).invoke({})
    function = start_function(handler, DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(ours))

    answer = function.invoke(cloudformation("Create", properties={"HeadRevision": "ours"}))

    assert answer.error == "DatabaseNewer"
    assert "is at revision theirs" in answer.text
    assert rows(plain_url, "SELECT id FROM runs") == [("1",)]


def test_a_release_beside_a_database_that_went_another_way_fails_and_its_rollback_succeeds(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    """A release was rolled back, and the next one has a revision in the place of that which the database has."""
    first = write_history("first", one=COUNTED.format(1))
    lost = write_history("lost", one=COUNTED.format(1), lost=COUNTED.format(2))
    next_one = write_history("next", one=COUNTED.format(1), next=COUNTED.format(3))
    start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(lost)).invoke({})

    def update(folder: Path, wanted: str, before: str) -> Answer:
        event = cloudformation("Update", properties={"HeadRevision": wanted})
        event["OldResourceProperties"]["HeadRevision"] = before
        return start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(folder)).invoke(event)

    rolled_back = update(first, "one", "lost")
    forward = update(next_one, "next", "one")
    rolled_back_again = update(first, "one", "next")
    other_code = update(first, "one", "one")

    assert [one.payload["Data"]["Outcome"] for one in (rolled_back, rolled_back_again, other_code)] == [
        "newer"
    ] * 3
    assert forward.error == "DatabaseNewer"
    assert rows(plain_url, "SELECT id FROM runs ORDER BY id") == [("1",), ("2",)]


def test_an_archive_that_is_not_the_one_the_stack_means_is_refused_before_anything_is_done(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path]
) -> None:
    scripts = write_history(base1=COUNTED.format(1), base2=COUNTED.format(2))
    function = start_function(DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    older = function.invoke(cloudformation("Update", properties={"HeadRevision": "base3"}))
    before = tables(plain_url)
    newer = function.invoke(cloudformation("Update", properties={"HeadRevision": "base1"}))

    assert older.error == "UnknownRevision"
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
    event = cloudformation("Create", PhysicalResourceId="dbschema:h:d")

    # In a call that began slowly the revision had little time for itself, and is given another one.
    answer = function.invoke(event, seconds=6)
    for _ in range(9):
        if answer.error == "StepTooLong":
            break
        assert answer.payload == {"IsComplete": False}
        answer = function.invoke(event, seconds=6)

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
    assert by_hand.error == "MigrationIncomplete"
    assert "Another run is at work (process" in by_hand.text
    assert not working.result().failed
