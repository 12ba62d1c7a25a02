"""Parse an event of CloudFormation, of Terraform or of a plain invocation.

An error names the accepted values and never quotes the event: an event contains a signed address, and can contain secrets.
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
# One id, or one for each branch, separated by commas.
_ID: Final = re.compile(r"[0-9A-Za-z_]{1,64}(?:, ?[0-9A-Za-z_]{1,64}){0,7}")
_REVISION: Final = re.compile(r"[0-9A-Za-z_.@+-]{1,64}(?:, ?[0-9A-Za-z_.@+-]{1,64}){0,7}")
_LONGEST: Final = {"StackId": 512, "RequestId": 128, "LogicalResourceId": 256, "PhysicalResourceId": 1024}
"""Maximum bytes of the ids that a response repeats. No real id is longer, and the response needs room for its text."""
_ACCEPTED: Final = f'Send {{}} for an upgrade, or "action" (one of {", ".join(ACTIONS)}) and, for upgrade and downgrade, "revision"'
_UNWRITABLE: Final = re.compile("[\x00-\x1f\ud800-\udfff]")
"""Control characters and surrogates: no id contains them, and a response could not encode some of them."""
_ARN_PARTS: Final = 7
"""The parts of a function's ARN up to its name; a version or an alias can follow."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Resource:
    """The custom resource of an event of CloudFormation.

    Args:
        request: the kind of request.
        stack_id, request_id, logical_id: the ids that a response must repeat.
        physical_id: the id of the resource; None: it has no id yet.
        properties: the properties, not validated.
        old_properties: the properties before an update, not validated.
        answered: whether an earlier call has reported completion; the framework forwards that response.
        response_url: the address for the response to CloudFormation. It is signed, so it is never shown.
        service_token: the ARN that CloudFormation calls: this function, or the framework.
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
        """Return whether CloudFormation calls the function `arn` directly, in any version."""
        if self.service_token is None or not isinstance(arn, str):
            return False
        return self.service_token.split(":")[:_ARN_PARTS] == arn.split(":")[:_ARN_PARTS]

    def head_revision(self) -> str | None:
        """Return the property HeadRevision, the target of the database; None: it is not set.

        Raises:
            BadEvent: it is not a revision. It is not raised by `parse`, so that CloudFormation gets a response.
        """
        if self.properties is None:
            return None
        if not isinstance(self.properties, dict):
            raise BadEvent(
                "The ResourceProperties of the event are no object", "CloudFormation sends them as one"
            )
        revision = self.properties.get("HeadRevision")
        if revision is None:
            return None
        if not isinstance(revision, str) or not _ID.fullmatch(revision):
            raise BadEvent("The property HeadRevision names no revision", "Set it to an id, or leave it out")
        return revision

    def old_head_revision(self) -> str | None:
        """Return the property HeadRevision before this update; None: it was not set, or is not a revision."""
        old = self.old_properties.get("HeadRevision") if isinstance(self.old_properties, dict) else None
        return old if isinstance(old, str) and _ID.fullmatch(old) else None


@dataclass(frozen=True)
class Call:
    """A parsed event.

    Args:
        action: the action; "nothing" for the deletion of a resource, because the tables stay.
        revision: the target of an upgrade or a downgrade.
        resource: the custom resource of CloudFormation; None: another caller.
        terraform: whether Terraform manages the invocation.
    """

    action: Action
    revision: str = HEAD
    resource: Resource | None = None
    terraform: bool = False

    @property
    def caller(self) -> str:
        """The name of the caller, for the log."""
        if self.resource is not None:
            return f"CloudFormation {self.resource.request}"
        return "Terraform" if self.terraform else "invoke"


def parse(event: object) -> Call:
    """Parse an event.

    Raises:
        BadEvent: the event is not accepted.
    """
    if not isinstance(event, dict):
        raise BadEvent("The event is no JSON object", _ACCEPTED)
    if "RequestType" in event:
        return _of_cloudformation(event)
    return _of_invocation(event)


def check_response_url(url: str | None, *, local: bool) -> str:
    """Return the address for a response if a response may be sent to it.

    Args:
        url: the address in the event.
        local: whether an address on this machine, without TLS, is accepted.

    Raises:
        BadEvent: the address is missing or not accepted; the message does not quote it.
    """
    try:
        parts = urlsplit(url or "")
        secure = parts.scheme == "https" and bool(parts.hostname)
        here = local and parts.scheme == "http" and parts.hostname in _LOOPBACK
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError:
        secure = here = False
    # A space or a line break would end the request line and inject another line.
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
    # To ask whether a creation is complete, the framework forwards the id of the first response.
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


def _of_invocation(event: dict[Any, Any]) -> Call:
    terraform = _TERRAFORM in event
    if terraform and _lifecycle(event[_TERRAFORM]) == "delete":
        # The other keys are not validated: an invalid one must not prevent the deletion.
        return Call("nothing", terraform=True)
    if set(event) - _KEYS:
        raise BadEvent("The event has unknown keys", _ACCEPTED)
    action = event.get("action", "upgrade")
    if not isinstance(action, str) or action not in ACTIONS:
        raise BadEvent('The "action" of the event is unknown', _ACCEPTED)
    revision = event.get("revision")
    if revision is None:
        if action == "downgrade":
            raise BadEvent(
                'A downgrade needs a "revision"',
                'Name the revision that shall stay, "-1" for one step, or "base"',
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
