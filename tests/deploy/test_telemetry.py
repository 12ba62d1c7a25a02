"""What the function tells beside its answers: metrics, traces, and a log also without Powertools."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from cloudformation import SIGNED, cloudformation
from xray import xray_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lambda_runtime import Answer, Function
    from xray import XRay

ONE = "op.execute('CREATE TABLE one (id int)')"


@pytest.fixture
def xray() -> Iterator[XRay]:
    """The daemon of X-Ray."""
    with xray_daemon() as found:
        yield found


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


def test_a_trace_is_made_where_it_is_asked_for_within_that_of_lambda(
    start_function: Callable[..., Function],
    plain_url: str,
    write_history: Callable[..., Path],
    xray: XRay,
) -> None:
    function = start_function(
        **xray.variables, DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(write_history(one=ONE))
    )

    answers = [function.invoke(event) for event in (cloudformation("Create"), {"action": "status"})]

    upgrade, status = xray.received()
    assert [one["name"] for one in (upgrade, status)] == ["## upgrade", "## status"]
    assert [one["annotations"] for one in (upgrade, status)] == [{"action": "upgrade"}, {"action": "status"}]
    for segment, answer in zip((upgrade, status), answers, strict=True):
        assert not answer.failed, answer.payload
        assert segment["type"] == "subsegment"
        assert (segment["trace_id"], segment["parent_id"]) == (answer.trace["Root"], answer.trace["Parent"])
        assert segment["end_time"] > segment["start_time"]
        assert not {"error", "fault", "throttle", "cause", "metadata"} & set(segment)
    password = psycopg.conninfo.conninfo_to_dict(plain_url)["password"]
    assert [one for one in (SIGNED, str(password), plain_url) if one in "".join(xray.everything)] == []


def test_a_failure_is_marked_in_the_trace_by_its_name_alone(
    start_function: Callable[..., Function], xray: XRay
) -> None:
    function = start_function(**xray.variables, DATABASE_URL="mysql://s3cr3t-host/shop")

    answer = function.invoke(cloudformation("Create"))

    (segment,) = xray.received()
    assert segment["name"] == "## upgrade"
    assert segment["annotations"] == {"action": "upgrade", "error": "BadAddress"}
    assert segment["fault"] is True
    assert "cause" not in segment
    assert "mysql" in answer.text
    assert [one for one in ("mysql", "s3cr3t", SIGNED) if one in "".join(xray.everything)] == []


def test_a_trace_that_lambda_does_not_sample_is_not_sent(
    start_function: Callable[..., Function], xray: XRay
) -> None:
    function = start_function(**xray.variables, DATABASE_URL="mysql://host/shop")

    answer = function.begin({}, sampled=False).result()

    assert answer.error == "BadAddress"
    assert xray.received() == []


def test_without_tracing_no_packet_is_sent(
    start_function: Callable[..., Function], plain_url: str, write_history: Callable[..., Path], xray: XRay
) -> None:
    """Nor is the SDK imported: tests/deploy/test_handler.py."""
    scripts = write_history(one=ONE)
    variables = {**xray.variables, "DBSCHEMA_TRACING": "0"}
    function = start_function(**variables, DATABASE_URL=plain_url, DBSCHEMA_SCRIPT_LOCATION=str(scripts))

    answers = [
        function.invoke(event) for event in (cloudformation("Create"), {"action": "no"}, {"revision": "typo"})
    ]

    assert [answer.failed for answer in answers] == [False, True, True]
    assert xray.received() == []


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
