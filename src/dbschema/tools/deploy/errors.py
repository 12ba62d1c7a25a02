"""Errors of the function in AWS Lambda; the errors of migrations and connections pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import BadSetting, DbSchemaError, MigrationIncomplete, UnknownRevision
from dbschema.tools.deploy.limits import coded

if TYPE_CHECKING:
    from collections.abc import Sequence


_SHOWN = 5
"""The number of revisions that a message lists; the others are only counted."""


class DeployError(DbSchemaError):
    """The function in AWS Lambda cannot do what an event asks for.

    Changed: nothing.
    Fix: follow the message.
    """

    code = "deploy"


class BadEvent(DeployError):
    """The event is not accepted. The message does not quote it, because an event can contain secrets.

    Changed: nothing.
    Fix: send one of the events in docs/deploy.md.
    """

    code = "bad-event"


def function_setting(name: str, choices: str, why: str = "holds an unknown value") -> BadSetting:
    """An environment variable of the function has an invalid value."""
    return BadSetting(name, why, f"Set it to {choices}", subject=f"The variable {name} of the function")


def downgrade_not_allowed(variable: str) -> DeployError:
    """A downgrade removes data, and the configuration of the function does not allow it."""
    return DeployError(
        "This function takes back no revisions: the data that they hold would be lost",
        f"Where that is meant, set {variable}=1 in its environment, and unset it afterwards",
    )


def wrong_archive(place: str, expected: str, head: str | None) -> UnknownRevision:
    """Neither the code of the function nor the database has the revision of the stack's HeadRevision."""
    return UnknownRevision(
        expected,
        f"HeadRevision asks for {expected}, and the archive of this function ends at {head or 'no revision'}; "
        f"nothing was changed on {place}",
        "Build the archive anew and deploy it together with its HeadRevision",
    )


def migration_incomplete(
    place: str, done: Sequence[str], left: Sequence[str], why: str
) -> MigrationIncomplete:
    """The call ran out of time, or another run holds the lock; the next call continues."""
    applied = f"{_listed(done, _SHOWN)} done" if done else "no revision done"
    rest = f"; left: {_listed(left, _SHOWN)}" if left else ""
    return MigrationIncomplete(
        f"{why}, and {place} is not at its target: {applied}{rest}",
        "Call again to go on",
        done=done,
        left=left,
    )


class StepTooLong(DeployError):
    """A revision did not finish in a call of its own.

    Changed: earlier revisions stay; nothing of this one is kept.
    Fix: split the revision, raise the timeout of the function, or run `dbschema upgrade` where no such limit exists.
    """

    code = "step-too-long"

    def __init__(self, place: str, revision: str, seconds: float) -> None:
        self.place, self.revision, self.seconds = place, revision, seconds
        super().__init__(
            f"Revision {revision} was stopped on {place} after {seconds:.0f} s, when the time of this call was over; "
            "nothing of it was kept",
            "Split it, raise the function's timeout, or run 'dbschema upgrade' where no such limit is",
        )


class NotDelivered(DeployError):
    """CloudFormation did not accept the answer of the function.

    Changed: what the function did before; the stack does not know of it.
    Fix: give the function a way to Amazon S3 (in isolated subnets: a gateway endpoint); Lambda repeats the call.
    """

    code = "not-delivered"

    def __init__(self, host: str, attempts: int, reason: str) -> None:
        self.host, self.attempts, self.reason = host, attempts, reason
        super().__init__(
            f"The answer was not taken by {host} in {attempts} attempts: {reason}",
            "Let the function reach Amazon S3 (in isolated subnets: a gateway endpoint); Lambda repeats this call",
        )


def _listed(ids: Sequence[str], shown: int) -> str:
    more = f" and {len(ids) - shown} more" if len(ids) > shown else ""
    return ", ".join(ids[:shown]) + more


class CallFailed(Exception):
    """The error that Lambda reports for a failed call; each error class has a subclass, so callers can tell them apart.

    Args:
        text: the message.
        code: the code of the error, appended to the message.
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(coded(text, code))
        self.text, self.code = text, code

    @classmethod
    def named(cls, name: str, text: str, code: str) -> CallFailed:
        """Return an error whose class has the name of the original error's class."""
        kind = type(name, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
        failed: CallFailed = kind(text, code)
        return failed
