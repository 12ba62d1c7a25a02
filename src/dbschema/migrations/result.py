"""migrations.result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbschema.migrations.history import revision_names

if TYPE_CHECKING:
    from dbschema.migrations.revisions import Direction, Revision


@dataclass(frozen=True)
class Step:
    """One revision of a run: the `number`-th of `total`, about to begin or, with `done`, committed."""

    direction: Direction
    revision: Revision
    number: int
    total: int
    done: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run has done: from which revision to which (None: base), by which steps in their order.

    Where there are several lines of revisions, `before` and `after` name one of each, with commas between them.

    Args:
        place: the database.
        before, after, steps: see above.
        left: the steps for which there was no time; the next run takes them.
        unknown: revisions of a newer database, which was tolerated: nothing was done.
        differences: what a comparison after the run has found.
        waited: seconds until the lock was given.
        cut_short: seconds that the first of `left` had when its time was over and it was undone; 0: it was not begun. Told by
            the RDS Data API; on a connection, whoever ends a statement gets `RevisionFailed`.
    """

    place: str
    before: str | None
    after: str | None
    steps: tuple[Revision, ...]
    left: tuple[Revision, ...] = ()
    unknown: tuple[str, ...] = ()
    differences: tuple[Any, ...] = ()
    waited: float = 0.0
    cut_short: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the target is reached."""
        return not self.left


@dataclass(frozen=True)
class Status:
    """How a database stands against the revision scripts.

    `current` is empty before the first upgrade; `unknown` are those of `current` that the scripts do not hold;
    `pending` what an upgrade would apply. Versions are such as '15.4' and '3.3.2'.
    """

    place: str
    source: str
    server_version: str
    postgis_version: str | None
    in_recovery: bool
    current: tuple[str, ...]
    head: str | None
    pending: tuple[Revision, ...]
    unknown: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether the database stands at the head, and nowhere else."""
        return not self.pending and not self.unknown and revision_names(self.current) == self.head
