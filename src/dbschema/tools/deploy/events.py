"""What an event asks for: by CloudFormation, by Terraform, or by whoever invokes the function.

An error here names what is accepted, and never what came: an event carries an address that is signed, and may carry secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from dbschema.tools.deploy.errors import BadEvent
from dbschema.tools.deploy.limits import size

Action = Literal["upgrade", "status", "check", "verify", "seed", "downgrade", "nothing"]
Request = Literal["Create", "Update", "Delete"]

ACTIONS: Final = ("upgrade", "status", "check", "verify", "seed", "downgrade")
HEAD: Final = "head"

_REQUESTS: Final = ("Create", "Update", "Delete")
_TERRAFORM: Final = "tf"
_TERRAFORM_ACTIONS: Final = ("create", "update", "delete")
_KEYS: Final = frozenset({"action", "revision", _TERRAFORM})
# Of several lines of revisions one each, with commas between them.
_ID: Final = re.compile(r"[0-9A-Za-z_]{1,64}(?:, ?[0-9A-Za-z_]{1,64}){0,7}")
_REVISION: Final = re.compile(r"[0-9A-Za-z_.@+-]{1,64}(?:, ?[0-9A-Za-z_.@+-]{1,64}){0,7}")
_LONGEST: Final = {"StackId": 512, "RequestId": 128, "LogicalResourceId": 256, "PhysicalResourceId": 1024}
"""Bytes of the ids that an answer repeats: no real one is longer, and beside them its text must find room."""
_ACCEPTED: Final = f'Send {{}} for an upgrade, or "action" (one of {", ".join(ACTIONS)}) and, for upgrade and downgrade, "revision"'
_UNWRITABLE: Final = re.compile("[\x00-\x1f\ud800-\udfff]")
"""Control characters and halves of characters: no id has them, and some could not be written into an answer."""
_ARN_PARTS: Final = 7
"""Of a function's ARN up to its name; a version or an alias may follow."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Resource:
    """The custom resource that an event of CloudFormation is about.

    Args:
        request: what happens to it.
        stack_id, request_id, logical_id: what an answer has to repeat.
        physical_id: its id, where it has one already.
        properties: as they came.
        old_properties: those before an update, as they came.
        answered: whether an earlier call has answered that all is done, which the framework passes on.
        response_url: where CloudFormation waits for an answer; signed, so it is never shown.
        service_token: the ARN of what CloudFormation calls: this function, or the framework before it.
    """

    request: Request
    stack_id: str
    request_id: str
    logical_id: str
    physical_id: str | None = None
    properties: object = field(default=None, repr=False)
    old_properties: object = field(default=None, repr=False)
    answered: bool = False
    response_url: str | None = field(default=None, repr=False)
    service_token: str | None = None

    def calls(self, arn: object) -> bool:
        """Whether CloudFormation calls the function `arn` itself, in whatever version."""
        if self.service_token is None or not isinstance(arn, str):
            return False
        return self.service_token.split(":")[:_ARN_PARTS] == arn.split(":")[:_ARN_PARTS]

    def wanted(self) -> str | None:
        """The property HeadRevision: where the database has to stand; None: it is not set.

        Raises:
            BadEvent: it is no revision. Told here, and not when the event is read, so that CloudFormation gets an answer.
        """
        if self.properties is None:
            return None
        if not isinstance(self.properties, dict):
            raise BadEvent(
                "The ResourceProperties of the event are no object", "CloudFormation sends them as one"
            )
        wanted = self.properties.get("HeadRevision")
        if wanted is None:
            return None
        if not isinstance(wanted, str) or not _ID.fullmatch(wanted):
            raise BadEvent("The property HeadRevision names no revision", "Set it to an id, or leave it out")
        return wanted

    def before(self) -> str | None:
        """The property HeadRevision before this update; None: it was not set, or is no revision."""
        old = self.old_properties.get("HeadRevision") if isinstance(self.old_properties, dict) else None
        return old if isinstance(old, str) and _ID.fullmatch(old) else None


@dataclass(frozen=True)
class Call:
    """What one event asks for.

    Args:
        action: what to do; "nothing" where a resource is deleted, because tables stay.
        revision: where to, for upgrade and downgrade.
        resource: of CloudFormation; None: another caller.
        terraform: whether Terraform manages the invocation.
    """

    action: Action
    revision: str = HEAD
    resource: Resource | None = None
    terraform: bool = False

    @property
    def caller(self) -> str:
        """Who calls, for the log."""
        if self.resource is not None:
            return f"CloudFormation {self.resource.request}"
        return "Terraform" if self.terraform else "invoke"


def parse(event: object) -> Call:
    """Read an event.

    Raises:
        BadEvent: it is none that is served here.
    """
    if not isinstance(event, dict):
        raise BadEvent("The event is no JSON object", _ACCEPTED)
    if "RequestType" in event:
        return _of_cloudformation(event)
    return _of_anybody(event)


def check_response_url(url: str | None, *, local: bool) -> str:
    """The address for an answer, where it is one that an answer may be sent to.

    Args:
        url: from the event.
        local: whether this machine is one, without TLS.

    Raises:
        BadEvent: it is none; never shows it.
    """
    try:
        parts = urlsplit(url or "")
        secure = parts.scheme == "https" and bool(parts.hostname)
        here = local and parts.scheme == "http" and parts.hostname in _LOOPBACK
        _ = parts.port  # raises where it is no number
    except ValueError:
        secure = here = False
    # A space or a line break would end the request's first line early, and begin another one.
    if url is None or not (secure or here) or not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        raise BadEvent(
            "The event of CloudFormation has no ResponseURL with https",
            "Where CDK's provider framework calls, set DBSCHEMA_CLOUDFORMATION_MODE=provider",
        )
    return url


def _of_cloudformation(event: dict[Any, Any]) -> Call:
    request = event["RequestType"]
    if request not in _REQUESTS:
        raise BadEvent(
            "The RequestType of the event is unknown",
            f"CloudFormation sends one of {', '.join(_REQUESTS)}",
        )
    # Asked whether a creation is complete, the framework passes on the id that it was answered.
    named = "PhysicalResourceId" in event or request != "Create"
    physical = _id(event, "PhysicalResourceId") if named else None
    url = event.get("ResponseURL")
    token = event.get("ServiceToken")
    data = event.get("Data")
    resource = Resource(
        cast("Request", request),
        _id(event, "StackId"),
        _id(event, "RequestId"),
        _id(event, "LogicalResourceId"),
        physical_id=physical,
        properties=event.get("ResourceProperties"),
        old_properties=event.get("OldResourceProperties"),
        answered=isinstance(data, dict) and "Outcome" in data,
        response_url=url if isinstance(url, str) else None,
        service_token=token if isinstance(token, str) else None,
    )
    return Call("nothing" if request == "Delete" else "upgrade", resource=resource)


def _id(event: dict[Any, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or _UNWRITABLE.search(value) or not 0 < size(value) - 2 <= _LONGEST[name]:
        raise BadEvent(
            f"The event of CloudFormation has no {name} of 1 to {_LONGEST[name]} bytes",
            "See docs/deploy.md for the events that are served",
        )
    return value


def _of_anybody(event: dict[Any, Any]) -> Call:
    terraform = _TERRAFORM in event
    if terraform and _lifecycle(event[_TERRAFORM]) == "delete":
        return Call(
            "nothing", terraform=True
        )  # whatever else stands there: it must not stop what is being removed
    if set(event) - _KEYS:
        raise BadEvent("The event has keys that are not known here", _ACCEPTED)
    action = event.get("action", "upgrade")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadEvent('The "action" of the event is unknown', _ACCEPTED)
    revision = event.get("revision")
    if revision is None:
        if action == "downgrade":
            raise BadEvent(
                'A downgrade needs a "revision"', 'Name the one that shall stay, "-1" for one step, or "base"'
            )
        return Call(cast("Action", action), terraform=terraform)
    if action not in {"upgrade", "downgrade"}:
        raise BadEvent('The "revision" of the event is not for this action', _ACCEPTED)
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise BadEvent(
            'The "revision" of the event names no revision',
            'Name an id or its beginning, "head", "base", "+1" or "-1"',
        )
    return Call(cast("Action", action), revision, terraform=terraform)


def _lifecycle(lifecycle: object) -> str:
    action = lifecycle.get("action") if isinstance(lifecycle, dict) else None
    if action not in _TERRAFORM_ACTIONS:
        raise BadEvent(
            f'The "{_TERRAFORM}" of the event has no known "action"',
            f"Terraform's aws_lambda_invocation sends one of {', '.join(_TERRAFORM_ACTIONS)}",
        )
    return str(action)
