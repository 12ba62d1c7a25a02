"""What X-Ray gets of a deployment: a daemon that listens, where the functions trace; nothing, where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from xray import XRay, xray_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack import Stack


@pytest.fixture
def xray(stack: Stack) -> Iterator[XRay]:
    """The daemon; what it got is looked through with all else that the deployment has printed."""
    with xray_daemon() as daemon:
        stack.variables |= daemon.variables
        yield daemon
        stack.traces += daemon.everything


def test_each_call_is_a_part_of_the_trace_and_a_failure_is_marked(stack: Stack, xray: XRay) -> None:
    stack.migrated()

    stack.deploy("Create")
    succeeded = xray.received()
    stack.release_revision("divides_by_zero", "SELECT 1 / 0")
    failed = stack.deploy("Update")
    marked = xray.received()

    assert "division by zero" in failed.reason
    assert [(one["name"], one["annotations"]) for one in succeeded] == [("## upgrade", {"action": "upgrade"})]
    assert "fault" not in succeeded[0]
    assert marked
    for segment in marked:  # the framework asks again after a failure
        assert segment["annotations"] == {"action": "upgrade", "error": "RevisionFailed"}
        assert segment["fault"] is True
    for segment in succeeded + marked:
        assert segment["type"] == "subsegment"
        assert segment["trace_id"].startswith("1-")
        assert len(segment["parent_id"]) == 16
    assert "division" not in "".join(xray.everything)


def test_functions_that_do_not_trace_send_nothing(stack: Stack, xray: XRay) -> None:
    stack.migrated()
    stack.variables["DBSCHEMA_TRACING"] = "0"

    answer = stack.deploy("Create")

    assert answer.status == "SUCCESS"
    assert xray.received() == []
