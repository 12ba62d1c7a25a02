"""Errors of the function itself, beside those of the runner and the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import BadSetting, DbSchemaError, MigrationIncomplete, UnknownRevision
from dbschema.tools.deploy.limits import coded

if TYPE_CHECKING:
    from collections.abc import Sequence


_SHOWN = 5
"""Revisions in a message; of the others, the number."""


class DeployError(DbSchemaError):
    """The function in AWS Lambda cannot do what an event asks for.

    Changed: nothing.
    Fix: follow the message.
    """

    code = "deploy"


class BadEvent(DeployError):
    """The function was called with an event that it does not accept; the message repeats nothing of it, as it may hold secrets.

    Changed: nothing.
    Fix: send one of the events in docs/deploy.md.
    """

    code = "bad-event"


def function_setting(name: str, choices: str, why: str = "holds an unknown value") -> BadSetting:
    """A variable of the function's environment has a value that cannot be used."""
    return BadSetting(name, why, f"Set it to {choices}", subject=f"The variable {name} of the function")


def downgrade_not_allowed(variable: str) -> DeployError:
    """A downgrade removes data, and the configuration of the function does not allow it."""
    return DeployError(
        "This function takes back no revisions: the data that they hold would be lost",
        f"Where that is meant, set {variable}=1 in its environment, and unset it afterwards",
    )


def wrong_archive(place: str, wanted: str, head: str | None) -> UnknownRevision:
    """Neither the code of the function nor the database has the revision that the stack asks for."""
    return UnknownRevision(
        wanted,
        f"HeadRevision asks for {wanted}, and the archive of this function ends at {head or 'no revision'}; "
        f"nothing was changed on {place}",
        "Build the archive anew and deploy it together with its HeadRevision",
    )


def work_left(place: str, done: Sequence[str], left: Sequence[str], why: str) -> MigrationIncomplete:
    """The time of a call was not enough, or another run is at work; the next call continues."""
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
    """The error that Lambda reports for a failed call; a child for each class of errors, which callers can wait for.

    Args:
        text: the message.
        code: the code of the error, which ends the message.
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(coded(text, code))
        self.text, self.code = text, code

    @classmethod
    def named(cls, name: str, text: str, code: str) -> CallFailed:
        """Return an error with the name of the class that it replaces."""
        kind = type(name, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
        failed: CallFailed = kind(text, code)
        return failed
