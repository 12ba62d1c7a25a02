"""Which events are understood, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudformation import cloudformation
from dbschema.tools.deploy.errors import BadEvent
from dbschema.tools.deploy.events import ACTIONS, check_response_url, parse

SECRET = "s3cr3t of the event!"
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SECRET)
KEYS = st.text(max_size=10) | st.sampled_from(
    ["action", "revision", "tf", "RequestType", "StackId", "ResourceProperties", "HeadRevision", SECRET]
)
VALUES = LEAF | st.sampled_from([*ACTIONS, "Create", "Update", "Delete", "create", "delete"])
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(ANYTHING)
def test_any_json_is_understood_or_refused_and_never_repeated(event: Any) -> None:
    try:
        call = parse(event)
    except BadEvent as error:
        said = str(error)
    else:
        said = repr(call)
        assert call.action in {*ACTIONS, "nothing"}

    assert SECRET not in said


@pytest.mark.parametrize("event", [None, [], "upgrade", 7, True, [{}], "{}"])
def test_what_is_no_object_is_told_what_is_accepted(event: object) -> None:
    with pytest.raises(
        BadEvent, match=r"no JSON object. Send {} for an upgrade, or \"action\" \(one of upgrade, status"
    ):
        parse(event)


@pytest.mark.parametrize(
    ("event", "action", "revision"),
    [
        ({}, "upgrade", "head"),
        ({"action": "upgrade"}, "upgrade", "head"),
        ({"action": "upgrade", "revision": "1a2b3c4d+1"}, "upgrade", "1a2b3c4d+1"),
        ({"revision": "+1"}, "upgrade", "+1"),
        ({"action": "downgrade", "revision": "-1"}, "downgrade", "-1"),
        ({"action": "status"}, "status", "head"),
        ({"action": "check"}, "check", "head"),
        ({"action": "verify"}, "verify", "head"),
        ({"action": "seed"}, "seed", "head"),
    ],
)
def test_plain_events(event: dict[str, str], action: str, revision: str) -> None:
    call = parse(event)

    assert (call.action, call.revision, call.resource) == (action, revision, None)


@pytest.mark.parametrize(
    "event",
    [
        {"action": "drop"},
        {"action": ["upgrade"]},
        {"action": None},
        {"Action": "status"},
        {"action": "status", "revision": "head"},
        {"action": "downgrade"},
        {"revision": ""},
        {"revision": "head; DROP TABLE tenants"},
        {"revision": 1},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
        {"Records": [{"Sns": {"Message": "{}"}}]},
    ],
)
def test_what_is_meant_otherwise_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(BadEvent):
        parse(event)


@pytest.mark.parametrize(
    ("lifecycle", "action"), [("create", "upgrade"), ("update", "upgrade"), ("delete", "nothing")]
)
def test_terraform_adds_its_own_key(lifecycle: str, action: str) -> None:
    """As aws_lambda_invocation sends it under lifecycle_scope = "CRUD"."""
    event = {
        "action": "upgrade",
        "tf": {"action": lifecycle, "prev_input": {"action": "upgrade", "secret": SECRET}},
    }

    call = parse(event)

    assert (call.action, call.terraform) == (action, True)


def test_what_terraform_deletes_may_have_had_any_input() -> None:
    assert (
        parse({"tf": {"action": "delete", "prev_input": None}, "of_an_older_release": 1}).action == "nothing"
    )


@pytest.mark.parametrize("lifecycle", [None, [], {}, {"action": "read"}, {"action": ["create"]}])
def test_a_lifecycle_that_terraform_does_not_have_is_refused(lifecycle: object) -> None:
    with pytest.raises(BadEvent, match="create, update, delete"):
        parse({"tf": lifecycle})


@pytest.mark.parametrize(
    ("request_type", "action"), [("Create", "upgrade"), ("Update", "upgrade"), ("Delete", "nothing")]
)
def test_cloudformation(request_type: str, action: str) -> None:
    call = parse(cloudformation(request_type, properties={"HeadRevision": "1a2b3c4d5e6f"}))

    assert call.resource is not None
    assert (call.action, call.resource.request) == (action, request_type)
    assert call.resource.head_revision() == "1a2b3c4d5e6f"
    assert "X-Amz-Signature" not in repr(call)


@pytest.mark.parametrize("name", ["StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId"])
@pytest.mark.parametrize("value", [None, "", 7, "x" * 2000, "\ud800", "a\nb"])
def test_an_id_that_could_not_be_answered_with_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadEvent, match=f"no {name} of 1 to"):
        parse(cloudformation("Update", **{name: value}))


def test_a_deletion_asks_nothing_of_the_properties() -> None:
    assert parse(cloudformation("Delete", ResourceProperties=[7])).action == "nothing"


@pytest.mark.parametrize("wanted", ["", 7, ["1a2b3c4d"], "head now", "-1", SECRET])
def test_a_head_revision_that_is_none_is_told(wanted: object) -> None:
    resource = parse(cloudformation("Create", properties={"HeadRevision": wanted})).resource
    assert resource is not None

    with pytest.raises(BadEvent, match="HeadRevision names no revision") as caught:
        resource.head_revision()

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://cloudformation.example/answer?signed",
        "http://127.0.0.1/answer",
        "file:///etc/passwd",
        "https://",
        "https://host:port/",
        "https://host/a b",
        "https://host/a\r\nHost: other",
        "https://hôst/",
        "https://[::1",
    ],
)
def test_an_answer_goes_nowhere_but_to_an_address_with_tls(url: str | None) -> None:
    with pytest.raises(BadEvent, match="no ResponseURL with https") as caught:
        check_response_url(url, local=False)

    assert "signed" not in str(caught.value)


def test_an_answer_goes_to_this_machine_where_that_is_allowed() -> None:
    assert check_response_url("http://127.0.0.1:8080/answer", local=True)
    assert check_response_url("https://bucket.s3.amazonaws.com/answer?signed", local=False)
    with pytest.raises(BadEvent):
        check_response_url("http://169.254.169.254/answer", local=True)
