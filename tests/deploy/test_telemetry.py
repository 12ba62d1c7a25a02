"""What the function tells beside its answers: metrics, traces, and a log also without Powertools."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest

from cloudformation import cloudformation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lambda_runtime import Answer, Function

ONE = "op.execute('CREATE TABLE one (id int)')"


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """The daemon of X-Ray, which takes segments over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        yield listener


def metrics(answer: Answer) -> dict[str, Any]:
    (found,) = [line for line in answer.lines if "_aws" in line]
    return found


def test_metrics_tell_what_a_call_did(
    start_function: Callable[..., Function],
    new_database: Callable[..., str],
    write_history: Callable[..., Path],
) -> None:
    function = start_function(
        DATABASE_URL=new_database(driver=""),
        DBSCHEMA_SCRIPT_LOCATION=str(write_history(one=ONE)),
        POWERTOOLS_METRICS_NAMESPACE="shop",
        POWERTOOLS_SERVICE_NAME="migration",
    )

    first, second, third = (metrics(function.invoke(event)) for event in ({}, {}, {"revision": "typo"}))

    assert first["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "shop"
    assert (first["service"], first["action"]) == ("migration", "upgrade")
    assert first["Duration"][0] > 0
    assert first["LockWait"][0] > 0
    shown = [(one["AppliedRevisions"], one["Failures"], one["ColdStart"]) for one in (first, second, third)]
    assert shown == [([1.0], [0.0], [1.0]), ([0.0], [0.0], [0.0]), ([0.0], [1.0], [0.0])]


def test_a_trace_is_made_where_it_is_asked_for_and_holds_no_text_of_an_error(
    start_function: Callable[..., Function], daemon: socket.socket
) -> None:
    function = start_function(
        DBSCHEMA_TRACING="1",
        AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{daemon.getsockname()[1]}",
        DATABASE_URL="mysql://s3cr3t-host/shop",
    )

    answer = function.invoke(cloudformation("Create"))

    header, segment = daemon.recv(65536).decode().split("\n", 1)
    found = json.loads(segment)
    assert "json" in header
    assert found["name"] == "## upgrade"
    assert found["annotations"] == {"action": "upgrade", "error": "BadAddress"}
    assert "mysql" in answer.text
    assert "mysql" not in segment


@pytest.mark.parametrize(("variable", "level"), [("POWERTOOLS_LOG_LEVEL", "WARNING"), ("LOG_LEVEL", "error")])
def test_the_level_of_the_log_is_set_by_a_variable(
    start_function: Callable[..., Function], variable: str, level: str
) -> None:
    function = start_function(**{variable: level})

    answer = function.invoke({"tf": {"action": "delete"}})

    assert [line for line in answer.lines if "level" in line] == []


def test_without_powertools_the_log_is_json_all_the_same(
    start_function: Callable[..., Function],
    new_database: Callable[..., str],
    write_history: Callable[..., Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aws_lambda_powertools'] = None\n")
    function = start_function(
        DATABASE_URL=new_database(driver=""),
        DBSCHEMA_SCRIPT_LOCATION=str(write_history(one=ONE)),
        DBSCHEMA_TRACING="1",
        PYTHONPATH=f"{tmp_path}:src:.",
    )

    answer = function.invoke({})

    lines = answer.lines
    assert answer.body["revision"] == "one"
    assert len(lines) == len(answer.log.splitlines())
    assert {line["function_request_id"] for line in lines} == {answer.request_id}
    assert next(line for line in lines if "retries" in line)["revision"] == "one"
    assert any("install dbschema[lambda]" in line["message"] for line in lines)
    assert {line["level"] for line in lines} == {
        logging.getLevelName(logging.INFO),
        logging.getLevelName(logging.WARNING),
    }


def test_metrics_that_cannot_be_written_do_not_fail_a_call(start_function: Callable[..., Function]) -> None:
    function = start_function(POWERTOOLS_SERVICE_NAME="s" * 2000, POWERTOOLS_METRICS_NAMESPACE=" ")

    answer = function.invoke({"tf": {"action": "delete"}})

    assert answer.body["ok"]


def test_a_trace_that_cannot_be_made_does_not_fail_a_call(start_function: Callable[..., Function]) -> None:
    function = start_function(
        DBSCHEMA_TRACING="1", AWS_XRAY_DAEMON_ADDRESS="no address", DATABASE_URL="mysql://h/x"
    )

    answer = function.invoke({})

    assert answer.error == "BadAddress"
