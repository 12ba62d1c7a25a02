"""What one call came to, before it is put into the form of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dbschema.connect import DataApi, Settings

Kind = Literal["upgraded", "current", "newer", "left", "answered", "nothing"]


@dataclass(frozen=True)
class Result:
    """The result of a call that did not fail.

    Args:
        kind: "upgraded" (revisions were applied, and the target is reached), "current" (it was before), "newer" (the
            database has revisions that this code does not know: it is left as it is), "left" (the next call goes on),
            "answered" (a question, a downgrade or data), "nothing" (what is deleted leaves its tables).
        message: the same in a sentence.
        place: the database in words; empty where none was asked.
        host, database: where it is.
        ok: False where a question was answered with findings, or nothing was done because a revision is not known.
        revision: where the database stands; None: base, or not asked.
        applied: the revisions of this call.
        left: those that remain, as far as known.
        findings: differences from the models, failed checks; as JSON knows them.
        waited: seconds until the lock was given.
        facts: further parts of the answer.
    """

    kind: Kind
    message: str
    place: str = ""
    host: str | None = None
    database: str = ""
    ok: bool = True
    revision: str | None = None
    applied: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    waited: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The parts of a plain answer."""
        shared: dict[str, Any] = {"message": self.message, "ok": self.ok}
        if self.place:
            shared["database"] = self.place
        return {**shared, **self.facts}


def answered(settings: Settings | DataApi, message: str, **parts: Any) -> Result:
    """The outcome of a question, a downgrade or data at one database; `parts` as in `Outcome`."""
    return Result(
        "answered",
        message,
        place=settings.place,
        host=settings.host,
        database=settings.database,
        **parts,
    )
