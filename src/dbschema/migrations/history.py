"""The revisions as one line from the first to the last, and what a name on the command line means on it.

Names are resolved here, before any database is asked: a mistyped target must neither change anything nor depend on what
a database holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from dbschema.errors import UnknownRevision
from dbschema.migrations.errors import AmbiguousRevision, OutOfRange, WrongDirection
from dbschema.migrations.location import script_location

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbschema.migrations.scripts import Scripts

Direction = Literal["upgrade", "downgrade"]

BASE: Final = "base"
HEAD: Final = "head"

_RELATIVE: Final = re.compile(r"(?P<start>[\w.]*?)(?P<count>[+-]\d+)", re.ASCII)
_PREFIX: Final = 4
"""Fewer characters of an id name no revision: they would fit by chance."""
_LISTED: Final = 5


@dataclass(frozen=True)
class Revision:
    """One revision: its id, and the first line of its text."""

    id: str
    doc: str


@dataclass(frozen=True)
class Target:
    """Where a run shall end.

    Args:
        text: as it was written.
        position: how many revisions are applied there (0: base); None: counted from where the database stands.
        count: how many steps from `position`, or from where the database stands; negative downwards.
    """

    text: str
    position: int | None
    count: int = 0


class History:
    """The revision scripts of one folder.

    Args:
        location: the folder with `env.py` and `versions/`; None: that of this package.

    Raises:
        BrokenScripts: they cannot be loaded, or are not one line.
    """

    def __init__(self, location: Path | None = None) -> None:
        self.location = script_location() if location is None else location
        from dbschema.migrations import compiled  # noqa: PLC0415  which needs what is defined here

        self.compiled = compiled.read(self.location)
        self.revisions = (
            self.scripts.revisions
            if self.compiled is None
            else tuple(one.revision for one in self.compiled.revisions)
        )
        self._positions = {revision.id: number for number, revision in enumerate(self.revisions, start=1)}

    @cached_property
    def scripts(self) -> Scripts:
        """The same revisions as Alembic has them, which is imported for it."""
        from dbschema.migrations.scripts import Scripts  # noqa: PLC0415  see above

        return Scripts(self.location)

    @property
    def head(self) -> str | None:
        """The last revision; None where there is none at all."""
        return self.revisions[-1].id if self.revisions else None

    def unknown(self, current: Sequence[str]) -> tuple[str, ...]:
        """Those of the revisions at which a database stands that these scripts do not hold."""
        return tuple(revision for revision in current if revision not in self._positions)

    def position(self, current: str | None) -> int:
        """How many revisions are applied when a database stands at `current`; it must be known."""
        return 0 if current is None else self._positions[current]

    def at(self, position: int) -> str | None:
        """The revision at which a database stands when `position` revisions are applied."""
        return self.revisions[position - 1].id if position else None

    def target(self, text: str) -> Target:
        """What `text` names: an id or its beginning, 'head', 'base', '+1', '-1', or one of the first three with a count.

        Raises:
            UnknownRevision, AmbiguousRevision: there is none, or more than one.
            OutOfRange: it counts beyond the first or the last revision.
        """
        relative = _RELATIVE.fullmatch(text)
        if relative is None:
            return Target(text, self._absolute(text))
        count = int(relative["count"])
        if not relative["start"]:
            return Target(text, None, count)
        return Target(text, self._moved(text, self._absolute(relative["start"]), count))

    def goal(self, direction: Direction, text: str) -> Target:
        """`target`, for a run in one direction.

        Raises:
            WrongDirection: it lies on the other side of every database.
        """
        goal = self.target(text)
        relative = goal.position is None
        if direction == "upgrade":
            wrong = (relative and goal.count < 0) or (goal.position == 0 and self.head is not None)
        else:
            wrong = relative and goal.count > 0
        if wrong:
            raise WrongDirection(direction, text, None)
        return goal

    def plan(self, direction: Direction, current: str | None, target: Target) -> tuple[Revision, ...]:
        """The revisions that a run goes through, in its order; none where an upgrade has nothing to do.

        Raises:
            WrongDirection: the target lies on the other side of `current`.
            OutOfRange: a relative target counts too far.
        """
        start = self.position(current)
        end = self._moved(target.text, start, target.count) if target.position is None else target.position
        if direction == "upgrade":
            if target.position is None and target.count < 0:
                raise WrongDirection(direction, target.text, current)
            return self.revisions[start:end]
        if end > start or (target.position is None and target.count > 0):
            raise WrongDirection(direction, target.text, current)
        return tuple(reversed(self.revisions[end:start]))

    def _absolute(self, text: str) -> int:
        if text in {HEAD, "heads"}:
            return len(self.revisions)
        if text == BASE:
            return 0
        if text in self._positions:
            return self._positions[text]
        matches = (
            [known for known in self._positions if known.startswith(text)] if len(text) >= _PREFIX else []
        )
        if len(matches) > 1:
            raise AmbiguousRevision(text, matches)
        if not matches:
            raise UnknownRevision(text, self._listed())
        return self._positions[matches[0]]

    def _moved(self, text: str, start: int, count: int) -> int:
        end = start + count
        if not 0 <= end <= len(self.revisions):
            possible = len(self.revisions) - start if count > 0 else start
            raise OutOfRange(text, self.at(start) or BASE, possible)
        return end

    def _listed(self) -> str:
        ids = [revision.id for revision in self.revisions]
        if not ids:
            return "there is none yet"
        return ", ".join(ids if len(ids) <= _LISTED else [*ids[:2], "...", *ids[-2:]])
