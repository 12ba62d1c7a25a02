"""An answer is never longer than CloudFormation takes, whatever happened and in whatever language."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dbschema.tools.deploy import limits, responses
from dbschema.tools.deploy.events import Resource, parse
from dbschema.tools.deploy.result import Result

# Halves of characters too, as JSON can write them.
ANY = st.text(st.characters(), max_size=400) | st.text(st.characters(), max_size=20).map(
    lambda part: part * 400
)
LONG = st.sampled_from(["x", "é", "漢", "😀", '"', "\\", "\n", "\x00", "\x7f", "\ud800"]).map(
    lambda sign: sign * 3000
)
TEXT = ANY | LONG
IDS = st.tuples(TEXT, TEXT)


def measured(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def longest_resource() -> Resource:
    """The longest ids that are served, of signs that JSON writes as two."""
    ids = {"StackId": '"' * 256, "RequestId": "r" * 128, "LogicalResourceId": "é" * 128}
    call = parse({"RequestType": "Update", "PhysicalResourceId": '"' * 512, **ids})
    assert call.resource is not None
    return call.resource


def outcome(kind: Any, text: str) -> Result:
    return Result(
        kind,
        text,
        place=text,
        host=text,
        database=text,
        revision=text,
        applied=(text,) * 50,
        left=(text,),
        findings=({"name": text},) * 50,
        facts={
            "list": [{"id": text, "doc": text}] * 50,
            "more": [text] * 50,
            "number": 7,
            "text": text,
            text: text,
        },
    )


@given(TEXT, st.integers(100, 3000))
def test_a_text_that_is_cut_fits_and_is_the_beginning_of_the_whole(text: str, limit: int) -> None:
    short = limits.cut(text, limit)

    assert measured(short) - 2 <= limit
    kept, sign, _ = short.partition(" … (cut")
    assert (
        text.encode("utf-8", "replace")
        .decode()
        .startswith(kept.replace("\N{REPLACEMENT CHARACTER}", "?")[:1])
    )
    assert bool(sign) == (len(kept) < len(text)) or "…" in text


@given(TEXT)
def test_a_failure_is_taken_by_cloudformation_beside_the_longest_ids(text: str) -> None:
    resource = longest_resource()

    sent = responses.failure(resource, str(resource.physical_id), text, "migration-incomplete")

    assert len(sent) <= 4096
    found = json.loads(sent)
    assert found["Status"] == "FAILED"
    assert found["Reason"].endswith(" [migration-incomplete]")
    assert found["Reason"] != " [migration-incomplete]"
    assert (found["StackId"], found["RequestId"]) == (resource.stack_id, resource.request_id)


@given(TEXT, st.sampled_from(["upgraded", "current", "newer"]))
def test_a_success_is_taken_by_cloudformation_beside_the_longest_ids(text: str, kind: str) -> None:
    resource = longest_resource()

    sent = responses.success(resource, responses.physical_id(text, text), outcome(kind, text))

    assert len(sent) <= 4096
    assert json.loads(sent)["Status"] == "SUCCESS"


@given(TEXT)
def test_what_the_framework_makes_of_an_answer_is_taken_by_cloudformation(text: str) -> None:
    """It adds the ids of the event, and joins what both functions return."""
    first = responses.provider(responses.physical_id(text, text), outcome("upgraded", text))
    second = responses.completion(outcome("current", text))
    resource = longest_resource()

    sent = {
        "Status": "SUCCESS",
        "Reason": "SUCCESS",
        "StackId": resource.stack_id,
        "RequestId": resource.request_id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": first["PhysicalResourceId"],
        "Data": {**first["Data"], **second["Data"]},
    }

    assert measured(sent) <= 4096


def test_what_the_framework_makes_of_an_error_is_taken_by_cloudformation() -> None:
    """Its own stack trace and the name of the log come after our text, and the longest ids of real stacks beside it."""
    text = limits.cut("漢" * 5000)
    trace = (
        "\n    at invokeUserFunction (/var/task/framework.js:2:6)\n"
        + "    at process.processTicksAndRejections (node:internal)\n" * 6
    )
    reason = f"Error: {text}\n\nLogs: /aws/lambda/{'f' * 64}\n{trace}"
    stack = f"arn:aws-us-gov:cloudformation:us-gov-west-1:111122223333:stack/{'s' * 128}/{'u' * 36}"
    ids = {
        "StackId": stack,
        "RequestId": "u" * 36,
        "LogicalResourceId": "l" * 255,
        "PhysicalResourceId": "p" * 160,
    }

    sent = {"Status": "FAILED", "Reason": reason, **ids, "NoEcho": False}

    assert measured(sent) <= 4096


@settings(deadline=None)
@given(TEXT)
def test_a_plain_answer_is_bounded_and_says_what_it_left_out(text: str) -> None:
    answer = responses.plain(outcome("answered", text).body())

    assert measured(answer) <= 4096
    body = json.loads(answer["body"])
    assert body["ok"] is True
    for name in ("list", "more"):
        if isinstance(body.get(name), list):
            assert len(body[name]) + body.get(f"{name}_omitted", 0) == 50


@given(IDS, IDS)
def test_a_physical_id_is_one_for_each_database(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = responses.physical_id(*one), responses.physical_id(*other)

    assert measured(first) - 2 <= 340
    assert first == responses.physical_id(*one)
    if ":" not in "".join((*one, *other)) and not any(
        "\ud800" <= sign <= "\udfff" for sign in "".join((*one, *other))
    ):
        assert (first == second) == ((one[0] or "local", one[1]) == (other[0] or "local", other[1]))


def test_names_of_any_length_that_is_real_stand_in_the_id_as_they_are() -> None:
    host, database = "h" * 253, "d" * 63

    assert responses.physical_id(host, database) == f"dbschema:{host}:{database}"
    assert responses.physical_id(None, "shop") == "dbschema:local:shop"


def test_while_work_is_left_the_framework_gets_no_data() -> None:
    assert responses.provider("dbschema:h:d", outcome("left", "x")) == {"PhysicalResourceId": "dbschema:h:d"}
    assert responses.completion(outcome("left", "x")) == {"IsComplete": False}
