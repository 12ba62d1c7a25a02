"""What Lambda calls: an event in, an answer out, also where something fails, and also where the time is nearly over."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dbschema.errors import DbSchemaError, MigrationIncomplete
from dbschema.tools.deploy import configuration, limits, responses
from dbschema.tools.deploy.configuration import Configuration
from dbschema.tools.deploy.deadline import Deadline
from dbschema.tools.deploy.delivery import Responder
from dbschema.tools.deploy.errors import BadEvent, CallFailed, work_left
from dbschema.tools.deploy.events import check_response_url, parse
from dbschema.tools.deploy.telemetry import Telemetry, traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbschema.tools.deploy.events import Call, Resource
    from dbschema.tools.deploy.result import Result

log: Final = logging.getLogger("dbschema.tools.deploy")

_TELEMETRY: Final = Telemetry()
UNEXPECTED: Final = "unexpected"
"""The code of an error that is not one of this package."""

_NOT_CREATED: Final = "dbschema:not-created"
_FRAMES: Final = 20
_CAUSES: Final = 4


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Serve an event of CloudFormation, of Terraform, or a plain invoke; docs/deploy.md says which.

    Raises:
        CallFailed: a child that is named after what went wrong. Its text fits into an answer, and holds no secret.
    """

    def answer(call: Call, deadline: Deadline) -> dict[str, Any]:
        if call.resource is None:
            return responses.plain(_complete(_work(call, deadline)).body())
        directly = call.resource.calls(getattr(context, "invoked_function_arn", None))
        who, wrong = configuration.who_answers(called_directly=directly)
        if who == "direct":
            return _answer_directly(call, call.resource, deadline, wrong)
        outcome = _work(call, deadline, wrong)
        if call.resource.request == "Delete":
            return {"PhysicalResourceId": call.resource.physical_id}
        return responses.provider(responses.physical_id(outcome.host, outcome.database), outcome)

    return _serve(event, context, answer)


def is_complete(event: Any, context: Any = None) -> dict[str, Any]:
    """Tell CDK's provider framework whether the migration is done; where it is not, go on with it.

    Raises:
        CallFailed: as `handler`.
    """

    def answer(call: Call, deadline: Deadline) -> dict[str, Any]:
        if call.resource is None:
            raise BadEvent("This function is for CDK's provider framework alone", "Invoke the other one")
        if call.resource.request == "Delete" or call.resource.answered:
            return {"IsComplete": True}
        return responses.completion(_work(call, deadline))

    return _serve(event, context, answer)


def _serve(event: Any, context: Any, answer: Callable[[Call, Deadline], dict[str, Any]]) -> dict[str, Any]:
    deadline = Deadline.of(context)
    _TELEMETRY.begin(context)
    try:
        call = parse(event)
        log.info("%s asks for: %s", call.caller, call.action)
        return answer(call, deadline)
    except BaseException as error:
        raise _failed(error) from None


def _work(call: Call, deadline: Deadline, wrong: DbSchemaError | None = None) -> Result:
    """Do what is asked for, and write the metrics, however it ends; `wrong`: why it cannot be done."""
    outcome: Result | None = None
    try:
        if wrong is not None and call.action != "nothing":
            raise wrong
        # What is deleted goes, however the function is set.
        chosen = Configuration() if call.action == "nothing" else Configuration.from_environment()

        def do() -> Result:
            from dbschema.tools.deploy import actions  # noqa: PLC0415  what it fails to import is answered like any other failure

            return actions.run(call, chosen, deadline)

        outcome = traced(call.action, do, enabled=chosen.tracing)
        log.info("%s", outcome.message, extra={"outcome": outcome.kind, "revision": outcome.revision})
        return outcome
    finally:
        _TELEMETRY.end(call.action, deadline, outcome)


def _complete(outcome: Result) -> Result:
    """`outcome`, unless something is left: whoever does not call again by himself must not take that for success."""
    if outcome.kind == "left":
        raise work_left(outcome.place, outcome.applied, outcome.left, outcome.message)
    return outcome


def _answer_directly(
    call: Call, resource: Resource, deadline: Deadline, wrong: DbSchemaError | None
) -> dict[str, Any]:
    """Send one answer to CloudFormation. It called asynchronously: an error here would only have it call again."""
    url = check_response_url(resource.response_url, local=configuration.local_response())
    responder = Responder(url)
    identity = resource.physical_id or _NOT_CREATED

    def too_late() -> bytes:
        reason = "The time of this call is over, and a revision still runs; deploy again to go on"
        return responses.failure(resource, identity, reason, MigrationIncomplete.code)

    responder.send_at(
        deadline.answer_at, too_late, lambda: log.error("CloudFormation was told that the time is over")
    )
    status = "SUCCESS"
    try:
        outcome = _complete(_work(call, deadline, wrong))
        if resource.request == "Delete":
            body = responses.success(resource, identity, None)
        else:
            body = responses.success(resource, responses.physical_id(outcome.host, outcome.database), outcome)
    except BaseException as error:
        failed = _failed(error)
        status, body = "FAILED", responses.failure(resource, identity, failed.text, failed.code)
    finally:
        responder.close()
    responder.send(body)
    return {"Status": status}


def _failed(error: BaseException) -> CallFailed:
    """`error` for whoever called, with its name and a text that fits and is safe; the log gets where it came from."""
    name = type(error).__name__
    code = error.code if isinstance(error, DbSchemaError) else UNEXPECTED
    text = _told(error)
    log.error(
        "%s", text, extra={"error": name, "code": code, "frames": _frames(error), "causes": _causes(error)}
    )
    return CallFailed.named(name, limits.cut(text, limits.TEXT_LIMIT - len(limits.coded("", code))), code)


def _frames(error: BaseException) -> list[str]:
    """Where an error was raised, the last place at the end; without a word of what it says."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]


def _causes(error: BaseException) -> list[dict[str, Any]]:
    """What an error came from, such as the line of a revision."""
    found: list[dict[str, Any]] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(found) < _CAUSES:
        found.append({"error": type(cause).__name__, "frames": _frames(cause)})
        cause = cause.__cause__ or cause.__context__
    return found


def _told(error: BaseException) -> str:
    """What may be said of an error. The text of one that is not ours may hold anything, such as the values of a row."""
    if isinstance(error, DbSchemaError):
        return " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, ImportError):
        return f"{name}: a part of the function cannot be imported ({error.name}). Build the archive anew."
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {Path(last[0].filename).name}, line {last[0].lineno}" if last else ""
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"An unexpected error, {name}{reason}{place}. See the log of this call."
