"""What holds for any event: an answer or a clear error, nothing imported that is not needed, nothing leaked, nothing changed."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudformation import cloudformation
from dbschema.errors import DbSchemaError
from dbschema.migrations.history import History
from dbschema.tools.deploy import handler as entry
from dbschema.tools.deploy.errors import CallFailed
from dbschema.tools.deploy.telemetry import Telemetry
from lambda_runtime import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloudformation import Waiting

SECRET = "s3cr3t of the event!"
SNAPSHOT = """
SELECT (SELECT json_agg((oid, relname, relkind, relacl, relrowsecurity) ORDER BY oid) FROM pg_class)::text
    || (SELECT json_agg((oid, proname) ORDER BY oid) FROM pg_proc)::text
    || (SELECT json_agg(v) FROM alembic_version v)::text
    || (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables)::text
"""
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.sampled_from(
        [SECRET, "Create", "Update", "Delete", "create", "delete", "upgrade", "status", "head", "+0"]
    )
)
KEYS = st.sampled_from(
    [
        "action",
        "revision",
        "tf",
        "prev_input",
        "RequestType",
        "ResourceProperties",
        "HeadRevision",
        "Data",
        SECRET,
    ]
) | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def mixed(changes: dict[str, Any]) -> dict[str, Any]:
    """A real event with parts of it replaced."""
    return {**cloudformation("Update"), **changes}


# Seeding and upgrading are what they are asked for; here the database is at its head, and no event asks for seeds.
EVENTS = (
    JSON
    | st.dictionaries(KEYS, JSON, max_size=4)
    | st.dictionaries(st.sampled_from(sorted(cloudformation("Update"))), JSON, max_size=3).map(mixed)
    | st.fixed_dictionaries({"tf": st.fixed_dictionaries({"action": LEAVES, "prev_input": JSON})})
)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process as before a first call, and afterwards as it was."""
    ours = logging.getLogger("dbschema")
    before = (ours.handlers[:], ours.level, ours.propagate)
    monkeypatch.setattr(entry, "_TELEMETRY", Telemetry())
    yield
    ours.handlers[:], ours.propagate = before[0], before[2]
    ours.setLevel(before[1])


def call(function: Callable[..., Any], event: object) -> tuple[Any, str]:
    """What is answered, or the error; and all that is written meanwhile."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        try:
            answer = function(
                event, SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000, aws_request_id="r-1")
            )
        except CallFailed as error:
            answer = error
    return answer, written.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=EVENTS, complete=st.booleans())
def test_any_event_is_answered_or_refused_and_nothing_leaks_or_changes(
    event: Any, complete: bool, called: None, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    url = database.replace("+psycopg", "")
    password = psycopg.conninfo.conninfo_to_dict(url)["password"]
    with psycopg.connect(url) as connection:
        before = connection.execute(SNAPSHOT).fetchone()

        answer, written = call(entry.is_complete if complete else entry.handler, event)

        connection.rollback()
        assert connection.execute(SNAPSHOT).fetchone() == before
    if isinstance(answer, CallFailed):
        shown = str(answer)
        assert shown
        assert not shown.startswith("An unexpected error")
    else:
        shown = json.dumps(answer, ensure_ascii=False)
        # What is deleted keeps the id that its event names; no other part of an event is repeated.
        shown = shown.replace(json.dumps(event.get("PhysicalResourceId")), "")
    assert len(shown.encode("utf-8", "replace")) <= 4096
    for secret in (SECRET, "X-Amz-Signature", str(password)):
        assert secret not in shown + written
    assert all(line.startswith("{") for line in written.splitlines())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(sorted(cloudformation("Update"))), JSON, max_size=3))
def test_in_direct_mode_any_event_that_can_be_answered_is_answered_once(
    changes: dict[str, Any], called: None, database: str, monkeypatch: pytest.MonkeyPatch, waiting: Waiting
) -> None:
    """An event whose ids cannot be repeated, or that tells no address for an answer, is an error of the function."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("DBSCHEMA_CLOUDFORMATION_MODE", "direct")
    monkeypatch.setenv("DBSCHEMA_ALLOW_LOCAL_RESPONSE_URL", "1")
    waiting.puts.clear()
    event = {**cloudformation("Update", url=waiting.url), **changes}
    url = database.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        before = connection.execute(SNAPSHOT).fetchone()

        answer, written = call(entry.handler, event)

        connection.rollback()
        assert connection.execute(SNAPSHOT).fetchone() == before
    if isinstance(answer, CallFailed):
        assert type(answer).__name__ == "BadEvent"
        assert waiting.puts == []
        return
    assert answer == {"Status": waiting.answer["Status"]}  # of exactly one
    bodies = "".join(body.decode() for _, body in waiting.puts).replace(
        json.dumps(event["PhysicalResourceId"], ensure_ascii=False), ""
    )
    for secret in (SECRET, "X-Amz-Signature", str(psycopg.conninfo.conninfo_to_dict(url)["password"])):
        assert secret not in bodies + written + json.dumps(answer)


def test_the_entry_is_short_and_only_names_what_it_serves() -> None:
    text = (ROOT / "lambda_entry.py").read_text()

    assert len(text.splitlines()) < 50
    statements = ast.parse(text).body
    assert not [
        one for one in statements if isinstance(one, (ast.FunctionDef, ast.ClassDef, ast.If, ast.Try))
    ]


def test_an_error_that_nobody_expected_tells_where_it_was_and_not_what_it_said(
    called: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text may be anything, such as the values of a row."""

    def fail(*_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr("dbschema.tools.deploy.actions.run", fail)

    answer, written = call(entry.handler, {})

    assert type(answer).__name__ == "KeyError"
    assert "An unexpected error, KeyError in test_handler.py, line" in str(answer)
    assert SECRET not in str(answer) + written
    assert any("fail" in frame for frame in json.loads(written.splitlines()[-1])["frames"])


def test_an_error_has_the_name_that_a_caller_can_wait_for(
    called: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://host/x")

    answer, written = call(entry.handler, {})

    assert (type(answer).__name__, isinstance(answer, CallFailed)) == ("BadAddress", True)
    assert str(answer).endswith(". [bad-address]")
    assert [json.loads(line).get("code") for line in written.splitlines()][-1] == "bad-address"
    assert answer.__cause__ is None
    assert answer.__suppress_context__


@given(st.text(), st.text())
def test_the_text_of_an_error_is_on_one_line(what: str, next_step: str) -> None:
    told = entry._safe_text(DbSchemaError(what, next_step))

    assert len(told.splitlines()) <= 1


HEAVY = (
    "alembic",
    "sqlalchemy",
    "psycopg",
    "boto3",
    "geoalchemy2",
    "filelock",
    "pglast",
    "rich_argparse",
    "rich",
    "aws_xray_sdk",
    "dbschema.models",
    "http.client",
    "ssl",
)


def imported_by(event: object, function: str = "handler", **environment: str) -> set[str]:
    """What a process of its own has imported when it has answered `event`."""
    program = f"""
import json, sys
from lambda_entry import {function}
event = json.loads(sys.argv[1])
before = sys.stdout
sys.stdout = sys.stderr
{function}(event, None)
print(json.dumps(sorted(name for name in {HEAVY!r} if name in sys.modules)), file=before)
"""

    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(event)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "AWS_LAMBDA_FUNCTION_NAME": "f", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("function", ["handler", "is_complete"])
def test_a_deletion_imports_nothing_that_takes_time(function: str) -> None:
    assert imported_by(cloudformation("Delete"), function) == set()


def test_a_deletion_by_terraform_imports_nothing_that_takes_time() -> None:
    assert imported_by({"tf": {"action": "delete", "prev_input": {}}}) == set()


def test_what_was_answered_as_complete_is_not_asked_again() -> None:
    event = cloudformation("Update", Data={"Outcome": "upgraded", "Revision": "1a2b3c4d"})

    assert imported_by(event, "is_complete") == set()


@pytest.mark.parametrize(
    "event",
    [{}, cloudformation("Update"), cloudformation("Update", properties={"HeadRevision": History().head})],
)
def test_an_upgrade_with_nothing_to_do_imports_psycopg_alone(event: object, database: str) -> None:
    assert imported_by(event, DATABASE_URL=database) <= {"psycopg", "ssl"}


def test_the_sdk_of_xray_is_imported_only_where_a_trace_is_made(database: str) -> None:
    event = {"action": "status"}

    found = [
        "aws_xray_sdk" in imported_by(event, DATABASE_URL=database, DBSCHEMA_TRACING=tracing)
        for tracing in ("0", "", "1")
    ]

    assert found == [False, False, True]


def test_only_what_compares_or_checks_imports_the_models(
    new_database: Callable[..., str],
) -> None:
    """An upgrade that does something imports them when it is done, and only to compare."""
    address = new_database()

    made = imported_by({}, DATABASE_URL=address, DBSCHEMA_COMPARE="0")
    compared = imported_by({"action": "check"}, DATABASE_URL=address)

    assert not {"alembic", "sqlalchemy", "dbschema.models"} & made
    assert {"sqlalchemy", "dbschema.models"} <= compared
    assert "alembic" not in compared
