"""What goes wrong in the function itself, beside what the runner and the connection raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence


class DeployError(DbSchemaError):
    """Root of the function's own errors."""


class BadEvent(DeployError):
    """The function was called with what it does not understand. Nothing of the event is repeated: it may hold secrets."""


class BadFunctionSetting(DeployError):
    """A variable of the function's environment holds what cannot be meant."""

    def __init__(self, name: str, choices: str, why: str = "holds an unknown value") -> None:
        self.name = name
        super().__init__(f"The variable {name} of the function {why}", f"Set it to {choices}")


class DowngradeNotAllowed(DeployError):
    """A downgrade removes data, and this function is not told that it may."""

    def __init__(self, variable: str) -> None:
        self.variable = variable
        super().__init__(
            "This function takes back no revisions: the data that they hold would be lost",
            f"Where that is meant, set {variable}=1 in its environment, and unset it afterwards",
        )


class WrongArchive(DeployError):
    """The stack asks for a revision that neither the code of this function nor the database has."""

    def __init__(self, place: str, wanted: str, head: str | None) -> None:
        self.place, self.wanted, self.head = place, wanted, head
        super().__init__(
            f"HeadRevision asks for {wanted}, and the archive of this function ends at {head or 'no revision'}; "
            f"nothing was changed on {place}",
            "Build the archive anew and deploy it together with its HeadRevision",
        )


class WorkLeft(DeployError):
    """The time of one call was not enough, or another run is at work; the next call goes on."""

    SHOWN = 5

    def __init__(self, place: str, done: Sequence[str], left: Sequence[str], why: str) -> None:
        self.place, self.done, self.left, self.why = place, tuple(done), tuple(left), why
        applied = f"{_listed(done, self.SHOWN)} done" if done else "no revision done"
        rest = f"; left: {_listed(left, self.SHOWN)}" if left else ""
        super().__init__(f"{why}, and {place} is not at its target: {applied}{rest}", "Call again to go on")


class StepTooLong(DeployError):
    """A revision did not come to its end in a call of its own."""

    def __init__(self, place: str, revision: str, seconds: float) -> None:
        self.place, self.revision, self.seconds = place, revision, seconds
        super().__init__(
            f"Revision {revision} was stopped on {place} after {seconds:.0f} s, when the time of this call was over; "
            "nothing of it was kept",
            "Split it, raise the function's timeout, or run 'dbschema upgrade' where no such limit is",
        )


class NotDelivered(DeployError):
    """CloudFormation could not be told how it ended."""

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
    """What Lambda is told of a call that failed; a child is made for each kind of error, which callers can wait for."""

    @classmethod
    def named(cls, name: str, text: str) -> CallFailed:
        """One with the name of the error that it stands for."""
        kind = type(name, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
        failed: CallFailed = kind(text)
        return failed
