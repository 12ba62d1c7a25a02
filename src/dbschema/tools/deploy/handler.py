"""The functions that Lambda calls. They return a response or raise a safe error, also after a failure or near the timeout."""

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
from dbschema.tools.deploy.errors import BadEvent, CallFailed, migration_incomplete
from dbschema.tools.deploy.events import check_response_url, parse
from dbschema.tools.deploy.telemetry import Telemetry, traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbschema.tools.deploy.events import Call, Resource
    from dbschema.tools.deploy.result import Result

log: Final = logging.getLogger("dbschema.tools.deploy")

_TELEMETRY: Final = Telemetry()
UNEXPECTED: Final = "unexpected"
"""The code of an error of another package."""

_NOT_CREATED: Final = "dbschema:not-created"
_FRAMES: Final = 20
_CAUSES: Final = 4


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Handle an event of CloudFormation, of Terraform or of a plain invocation; docs/deploy.md lists the events.

    Raises:
        CallFailed: the call failed. The subclass has the name of the original error; the text fits into a response and
            contains no secret.
    """

    def respond(call: Call, deadline: Deadline) -> dict[str, Any]:
        if call.resource is None:
            return responses.plain(_complete(_work(call, deadline)).body())
        called_directly = call.resource.calls(getattr(context, "invoked_function_arn", None))
        mode, setting_error = configuration.responder_mode(called_directly=called_directly)
        if mode == "direct":
            return _respond_directly(call, call.resource, deadline, setting_error)
        result = _work(call, deadline, setting_error)
        if call.resource.request == "Delete":
            return {"PhysicalResourceId": call.resource.physical_id}
        return responses.provider(responses.physical_id(result.host, result.database), result)

    return _handle(event, context, respond)


def is_complete(event: Any, context: Any = None) -> dict[str, Any]:
    """Continue the migration, and report to CDK's provider framework whether it is complete.

    Raises:
        CallFailed: see `handler`.
    """

    def respond(call: Call, deadline: Deadline) -> dict[str, Any]:
        if call.resource is None:
            raise BadEvent("Only CDK's provider framework calls this function", "Invoke the other function")
        if call.resource.request == "Delete" or call.resource.answered:
            return {"IsComplete": True}
        return responses.completion(_work(call, deadline))

    return _handle(event, context, respond)


def _handle(event: Any, context: Any, respond: Callable[[Call, Deadline], dict[str, Any]]) -> dict[str, Any]:
    deadline = Deadline.of(context)
    _TELEMETRY.begin(context)
    try:
        call = parse(event)
        log.info("%s asks for: %s", call.caller, call.action)
        return respond(call, deadline)
    except BaseException as error:
        raise _failed(error) from None


def _work(call: Call, deadline: Deadline, setting_error: DbSchemaError | None = None) -> Result:
    """Execute the action and write the metrics, also after a failure; raise `setting_error` instead if there is one."""
    result: Result | None = None
    try:
        if setting_error is not None and call.action != "nothing":
            raise setting_error
        # An invalid setting must not prevent a deletion.
        settings = Configuration() if call.action == "nothing" else Configuration.from_environment()

        def do() -> Result:
            from dbschema.tools.deploy import actions  # noqa: PLC0415  a failed import is reported like any other error

            return actions.run(call, settings, deadline)

        result = traced(call.action, do, enabled=settings.tracing)
        log.info("%s", result.message, extra={"outcome": result.kind, "revision": result.revision})
        return result
    finally:
        _TELEMETRY.end(call.action, deadline, result)


def _complete(result: Result) -> Result:
    """Return `result`, or raise if revisions are left: a caller that does not call again must not take that for success."""
    if result.kind == "left":
        raise migration_incomplete(result.place, result.applied, result.left, result.message)
    return result


def _respond_directly(
    call: Call, resource: Resource, deadline: Deadline, setting_error: DbSchemaError | None
) -> dict[str, Any]:
    """Send one response to CloudFormation. Do not raise a failure of the work: Lambda would repeat an asynchronous call."""
    url = check_response_url(resource.response_url, local=configuration.local_response())
    responder = Responder(url)
    identity = resource.physical_id or _NOT_CREATED

    def too_late() -> bytes:
        reason = "The time of this call is over, and a revision still runs; deploy again to go on"
        return responses.failure(resource, identity, reason, MigrationIncomplete.code)

    responder.send_at(
        deadline.answer_at, too_late, lambda: log.error("The timeout was reported to CloudFormation")
    )
    status = "SUCCESS"
    try:
        result = _complete(_work(call, deadline, setting_error))
        if resource.request == "Delete":
            body = responses.success(resource, identity, None)
        else:
            body = responses.success(resource, responses.physical_id(result.host, result.database), result)
    except BaseException as error:
        failed = _failed(error)
        status, body = "FAILED", responses.failure(resource, identity, failed.text, failed.code)
    finally:
        responder.close()
    responder.send(body)
    return {"Status": status}


def _failed(error: BaseException) -> CallFailed:
    """Convert `error` to an error for the caller, with a short and safe text; log where it was raised."""
    name = type(error).__name__
    code = error.code if isinstance(error, DbSchemaError) else UNEXPECTED
    text = _safe_text(error)
    log.error(
        "%s", text, extra={"error": name, "code": code, "frames": _frames(error), "causes": _causes(error)}
    )
    return CallFailed.named(name, limits.cut(text, limits.TEXT_LIMIT - len(limits.coded("", code))), code)


def _frames(error: BaseException) -> list[str]:
    """Return the last frames of an error's traceback, innermost last, without its message."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]


def _causes(error: BaseException) -> list[dict[str, Any]]:
    """Return the causes of an error with their frames, such as the line of a revision."""
    causes: list[dict[str, Any]] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < _CAUSES:
        causes.append({"error": type(cause).__name__, "frames": _frames(cause)})
        cause = cause.__cause__ or cause.__context__
    return causes


def _safe_text(error: BaseException) -> str:
    """Return the text of our own errors only. The text of another error can contain secrets, such as the values of a row."""
    if isinstance(error, DbSchemaError):
        return " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, ImportError):
        return f"{name}: a part of the function cannot be imported ({error.name}). Build the archive anew."
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {Path(last[0].filename).name}, line {last[0].lineno}" if last else ""
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"An unexpected error, {name}{reason}{place}. See the log of this call."
