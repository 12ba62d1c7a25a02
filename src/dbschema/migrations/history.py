"""The history of revisions: resolve the name of a target, and plan the revisions of a run.

A history has one branch, or several that depend on each other: the branch of this package and those of an application.
Names are resolved without a database: a mistyped target must change nothing, and its meaning must not depend on a database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dbschema.migrations.errors import ambiguous_revision, out_of_range, unknown_revision, wrong_direction
from dbschema.migrations.location import script_location
from dbschema.migrations.revisions import Direction, Graph, Revision, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dbschema.migrations.scripts import Scripts


BASE: Final = "base"
HEAD: Final = "head"
_HEADS: Final = frozenset({HEAD, "heads"})

_RELATIVE: Final = re.compile(r"(?P<start>[\w.]*?)(?P<count>[+-]\d+)", re.ASCII)
_LABELLED: Final = re.compile(r"(?P<label>[^@]+)@(?P<name>[^@]+)")
_PREFIX: Final = 4
"""The least length of an abbreviated id. A shorter prefix could match by accident."""
_LISTED: Final = 5


@dataclass(frozen=True)
class Target:
    """The target of a run.

    Args:
        text: the target as the caller wrote it.
        reached: all revisions that are applied at the target; None: the target is relative to the current revision.
        above: the revisions that a downgrade to the target reverts.
        count: the number of steps from the current revision; negative for a downgrade.
    """

    text: str
    reached: frozenset[str] | None
    above: frozenset[str] = frozenset()
    count: int = 0


def revision_names(revisions: Sequence[str]) -> str | None:
    """Join the current revisions of a database, one of each branch, with commas; None: base."""
    return ", ".join(revisions) or None


class History:
    """The revision scripts of a folder, or of all folders that an ini file names.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`, whose `version_locations`
            may name several folders; None: the folder of this package.

    Raises:
        BrokenScripts: the scripts cannot be loaded, or a branch has several heads.
    """

    def __init__(self, location: Path | None = None) -> None:
        self.location = script_location() if location is None else location
        from dbschema.migrations import compiled  # noqa: PLC0415  it imports this module

        self.compiled = None if self.location.is_file() else compiled.read(self.location)
        if self.compiled is None:
            self.revisions, self.graph = self.scripts.revisions, self.scripts.graph
        else:
            self.revisions = tuple(entry.revision for entry in self.compiled.revisions)
            self.graph = Graph(line(revision.id for revision in self.revisions))

    @cached_property
    def scripts(self) -> Scripts:
        """The same revisions, loaded by Alembic."""
        from dbschema.migrations.scripts import Scripts  # noqa: PLC0415  imports Alembic

        return Scripts(self.location)

    @property
    def head(self) -> str | None:
        """The newest revision; with several branches, the content of the version table after a full upgrade; None: no scripts."""
        return revision_names(self.graph.tops(self.everything))

    @property
    def everything(self) -> frozenset[str]:
        """All revisions."""
        return frozenset(self.graph.order)

    @property
    def has_one_branch(self) -> bool:
        """Whether the history has at most one branch: a database then has at most one current revision."""
        return len(self.graph.bases) <= 1

    def unknown(self, current: Iterable[str]) -> tuple[str, ...]:
        """Return the revisions of `current` that these scripts do not contain."""
        return tuple(revision for revision in current if revision not in self.graph)

    def applied(self, current: Iterable[str]) -> frozenset[str]:
        """Return all applied revisions of a database at `current`. The scripts must contain `current`."""
        return self.graph.below(current)

    def current(self, applied: frozenset[str]) -> tuple[str, ...]:
        """Return the current revisions of a database with the revisions `applied`: the inverse of `applied()`."""
        return self.graph.tops(applied)

    def among(self, ids: Iterable[str]) -> tuple[Revision, ...]:
        """Return the revisions with these ids, each after its parents and dependencies."""
        selected = frozenset(ids)
        return tuple(revision for revision in self.revisions if revision.id in selected)

    def target(self, text: str) -> Target:
        """Resolve the name of a target.

        Args:
            text: an id or its prefix, 'head', 'base', '+1', '-1', or one of the first three with a count. With several
                branches also 'label@head', 'label@base', and a list of these, separated by commas.

        Raises:
            UnknownRevision: no revision matches.
            WrongTarget: several revisions match, or the count goes beyond the first or the last revision.
        """
        if "," in text:
            parts = [self.target(part.strip()) for part in text.split(",")]
            if any(part.reached is None for part in parts):
                raise unknown_revision(text, self._listed())
            reached = frozenset[str]().union(*(part.reached or () for part in parts))
            return Target(text, reached, self.everything - reached)
        relative = _RELATIVE.fullmatch(text)
        if relative is None:
            return self._absolute(text)
        count = int(relative["count"])
        if not relative["start"]:
            return Target(text, None, count=count)
        return self._moved(text, relative["start"], count)

    def goal(self, direction: Direction, text: str) -> Target:
        """Resolve the name of a target as `target`, for a run in `direction`.

        Raises:
            WrongTarget: no database can reach the target in that direction.
        """
        goal = self.target(text)
        if direction == "upgrade":
            wrong = goal.count < 0 or (goal.reached == frozenset() and self.head is not None)
        else:
            wrong = goal.count > 0
        if wrong:
            raise wrong_direction(direction, text, None)
        return goal

    def plan(self, direction: Direction, current: Sequence[str], target: Target) -> tuple[Revision, ...]:
        """Return the revisions that a run executes, in order; an empty tuple if there is nothing to do.

        Args:
            direction: the direction of the run.
            current: the current revisions of the database.
            target: the target of the run.

        Raises:
            WrongTarget: the target is in the other direction from `current`, or its count goes too far.
        """
        applied = self.applied(current)
        pending = [revision for revision in self.revisions if revision.id not in applied]
        revertible = [revision for revision in reversed(self.revisions) if revision.id in applied]
        if target.reached is None:
            possible, count = (pending, target.count) if target.count > 0 else (revertible, -target.count)
            if count > len(possible):
                raise out_of_range(target.text, revision_names(current) or BASE, len(possible))
            if count and (direction == "upgrade") != (target.count > 0):
                raise wrong_direction(direction, target.text, revision_names(current))
            return tuple(possible[:count])
        if direction == "upgrade":
            return tuple(revision for revision in pending if revision.id in target.reached)
        if not target.reached <= applied:
            raise wrong_direction(direction, target.text, revision_names(current))
        return tuple(revision for revision in revertible if revision.id in target.above)

    def _absolute(self, text: str) -> Target:
        if text in _HEADS:
            return Target(text, self.everything)
        if text == BASE:
            return Target(text, frozenset(), self.everything)
        labelled = _LABELLED.fullmatch(text)
        if labelled is None:
            return self._at(text, self._id(text))
        branch = self.graph.labelled(labelled["label"])
        if not branch:
            raise unknown_revision(text, self._listed())
        if labelled["name"] in _HEADS:
            return self._at(text, branch[-1])
        if labelled["name"] == BASE:
            first = branch[0]
            return Target(text, frozenset(), self.graph.above(first) | {first})
        return self._at(text, self._id(labelled["name"], branch))

    def _at(self, text: str, revision: str) -> Target:
        return Target(text, self.graph.below([revision]), self.graph.above(revision))

    def _id(self, text: str, among: Sequence[str] | None = None) -> str:
        """Return the only revision whose id is `text` or begins with `text`."""
        known = self.graph.order if among is None else among
        if text in known:
            return text
        matches = (
            [revision for revision in known if revision.startswith(text)] if len(text) >= _PREFIX else []
        )
        if len(matches) > 1:
            raise ambiguous_revision(text, matches)
        if not matches:
            raise unknown_revision(text, self._listed())
        return matches[0]

    def _moved(self, text: str, start: str, count: int) -> Target:
        """Resolve `count` steps from `start` in its branch. With several branches, 'head' and 'base' are ambiguous starts."""
        if start in _HEADS | {BASE}:
            ends = self.graph.heads if start in _HEADS else ()
            if not self.has_one_branch:
                raise ambiguous_revision(text, self.graph.heads if ends else self.graph.bases)
            here = ends[0] if ends else None
        else:
            here = self._id(start)
        began, steps = here, 0
        while steps < abs(count):
            follow = self._beside(here, upwards=count > 0)
            if len(follow) > 1:
                raise ambiguous_revision(text, follow)
            if not follow and (count > 0 or here is None):
                raise out_of_range(text, began or BASE, steps)
            here, steps = (follow[0] if follow else None), steps + 1
        return Target(text, frozenset(), self.everything) if here is None else self._at(text, here)

    def _beside(self, revision: str | None, *, upwards: bool) -> tuple[str, ...]:
        if revision is None:
            return self.graph.bases if upwards else ()
        return self.graph.children(revision) if upwards else self.graph.parents(revision)

    def _listed(self) -> str:
        ids = self.graph.order
        if not ids:
            return "the scripts contain no revision"
        return ", ".join(ids if len(ids) <= _LISTED else [*ids[:2], "...", *ids[-2:]])
