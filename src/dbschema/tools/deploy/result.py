"""The result of one call, before it is formatted as a response."""

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
        kind: "upgraded" (revisions were applied, and the target is reached), "current" (the target was reached before),
            "newer" (the database has revisions that this code does not contain; it is not changed), "left" (the next call
            continues), "answered" (status, check, verify, seed or downgrade), "nothing" (a deletion, which keeps the tables).
        message: the result as a sentence.
        place: the database, for messages; empty: no database was used.
        host, database: the host and the name of the database.
        ok: False if status, check or verify has findings, or if nothing was done because of an unknown revision.
        revision: the revision of the database; None: base, or not read.
        applied: the revisions that this call applied.
        left: the remaining revisions, as far as they are known.
        findings: differences from the models or failed checks, in types of JSON.
        waited: seconds until the lock was acquired.
        facts: further parts of a plain response.
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
        """Return the parts of a plain response."""
        shared: dict[str, Any] = {"message": self.message, "ok": self.ok}
        if self.place:
            shared["database"] = self.place
        return {**shared, **self.facts}


def answered(settings: Settings | DataApi, message: str, **parts: Any) -> Result:
    """Return the result of a status, check, verify, seed or downgrade; `parts` are fields of `Result`."""
    return Result(
        "answered",
        message,
        place=settings.place,
        host=settings.host,
        database=settings.database,
        **parts,
    )
