"""The values that describe a run: its steps, its result, and the status of a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbschema.migrations.history import revision_names

if TYPE_CHECKING:
    from dbschema.migrations.revisions import Direction, Revision


@dataclass(frozen=True)
class Step:
    """One revision of a run, number `number` of `total`: about to begin or, if `done`, committed."""

    direction: Direction
    revision: Revision
    number: int
    total: int
    done: bool = False


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Args:
        place: the database.
        before, after: the revision before and after the run; None: base. With several branches: one revision of each,
            separated by commas.
        steps: the revisions that the run committed, in order.
        left: the revisions that the run had no time for; the next run executes them.
        unknown: the revisions of a newer database that the caller tolerates; the run changed nothing.
        differences: the differences that the comparison after the run found.
        waited: seconds until the run acquired the lock.
        cut_short: seconds that the first revision of `left` ran before the deadline undid it; 0: it did not begin. Only the
            RDS Data API sets it; on a connection, a cancelled statement raises `RevisionFailed`.
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
        """Whether the run reached its target."""
        return not self.left


@dataclass(frozen=True)
class Status:
    """The state of a database, compared with the revision scripts.

    `current` is empty before the first upgrade. `unknown` are the revisions of `current` that the scripts do not contain.
    `pending` are the revisions that an upgrade applies. Examples of versions: '15.4' and '3.3.2'.
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
        """Whether the database is at the head, and at no other revision."""
        return not self.pending and not self.unknown and revision_names(self.current) == self.head
