"""The revisions from the first to the last, and what a name on the command line means among them.

They are one line, or several that stand on one another: those of this package, and those of an application. Names are
resolved here, before any database is asked: a mistyped target must neither change anything nor depend on what a database
holds.
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
"""Fewer characters of an id name no revision: they would fit by chance."""
_LISTED: Final = 5


@dataclass(frozen=True)
class Target:
    """Where a run shall end.

    Args:
        text: as it was written.
        reached: the revisions that are applied there, with all that they stand on; None: counted from where the
            database stands.
        above: those that a downgrade takes back.
        count: how many steps from where the database stands; negative downwards.
    """

    text: str
    reached: frozenset[str] | None
    above: frozenset[str] = frozenset()
    count: int = 0


def revision_names(revisions: Sequence[str]) -> str | None:
    """The revisions at which a database stands, in words: one, or one of each line; None: base."""
    return ", ".join(revisions) or None


class History:
    """The revision scripts of one folder, or of all that an ini file names.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`, whose `version_locations`
            may name several folders; None: the folder of this package.

    Raises:
        BrokenScripts: they cannot be loaded, or a line of them has several heads.
    """

    def __init__(self, location: Path | None = None) -> None:
        self.location = script_location() if location is None else location
        from dbschema.migrations import compiled  # noqa: PLC0415  which needs what is defined here

        self.compiled = None if self.location.is_file() else compiled.read(self.location)
        if self.compiled is None:
            self.revisions, self.graph = self.scripts.revisions, self.scripts.graph
        else:
            self.revisions = tuple(one.revision for one in self.compiled.revisions)
            self.graph = Graph(line(one.id for one in self.revisions))

    @cached_property
    def scripts(self) -> Scripts:
        """The same revisions as Alembic has them, which is imported for it."""
        from dbschema.migrations.scripts import Scripts  # noqa: PLC0415  see above

        return Scripts(self.location)

    @property
    def head(self) -> str | None:
        """The last revision, of several lines all that the version table holds in the end; None where there is none at all."""
        return revision_names(self.graph.tops(self.everything))

    @property
    def everything(self) -> frozenset[str]:
        """All revisions."""
        return frozenset(self.graph.order)

    @property
    def is_one_line(self) -> bool:
        """Whether a database stands at no more than one revision."""
        return len(self.graph.bases) <= 1

    def unknown(self, current: Iterable[str]) -> tuple[str, ...]:
        """Those of the revisions at which a database stands that these scripts do not hold."""
        return tuple(revision for revision in current if revision not in self.graph)

    def applied(self, current: Iterable[str]) -> frozenset[str]:
        """The revisions that are applied where a database stands at `current`; they must be known."""
        return self.graph.below(current)

    def standing(self, applied: frozenset[str]) -> tuple[str, ...]:
        """The revisions at which a database stands that has `applied`."""
        return self.graph.tops(applied)

    def among(self, ids: Iterable[str]) -> tuple[Revision, ...]:
        """The revisions with these ids, each after what it stands on."""
        wanted = frozenset(ids)
        return tuple(one for one in self.revisions if one.id in wanted)

    def target(self, text: str) -> Target:
        """What `text` names.

        Args:
            text: an id or its beginning, 'head', 'base', '+1', '-1', one of the first three with a count; with several
                lines also 'label@head', 'label@base', and several of all these with commas between them.

        Raises:
            UnknownRevision: there is none.
            WrongTarget: there is more than one, or it counts beyond the first or the last revision.
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
        """`target`, for a run in one direction.

        Raises:
            WrongTarget: it lies on the other side of every database.
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
        """The revisions that a run goes through, in its order; none where an upgrade has nothing to do.

        Args:
            direction: of the run.
            current: where the database stands.
            target: where the run ends.

        Raises:
            WrongTarget: the target lies on the other side of `current`, or counts too far.
        """
        applied = self.applied(current)
        pending = [one for one in self.revisions if one.id not in applied]
        behind = [one for one in reversed(self.revisions) if one.id in applied]
        if target.reached is None:
            possible, count = (pending, target.count) if target.count > 0 else (behind, -target.count)
            if count > len(possible):
                raise out_of_range(target.text, revision_names(current) or BASE, len(possible))
            if count and (direction == "upgrade") != (target.count > 0):
                raise wrong_direction(direction, target.text, revision_names(current))
            return tuple(possible[:count])
        if direction == "upgrade":
            return tuple(one for one in pending if one.id in target.reached)
        if not target.reached <= applied:
            raise wrong_direction(direction, target.text, revision_names(current))
        return tuple(one for one in behind if one.id in target.above)

    def _absolute(self, text: str) -> Target:
        if text in _HEADS:
            return Target(text, self.everything)
        if text == BASE:
            return Target(text, frozenset(), self.everything)
        labelled = _LABELLED.fullmatch(text)
        if labelled is None:
            return self._at(text, self._id(text))
        of_line = self.graph.labelled(labelled["label"])
        if not of_line:
            raise unknown_revision(text, self._listed())
        if labelled["name"] in _HEADS:
            return self._at(text, of_line[-1])
        if labelled["name"] == BASE:
            first = of_line[0]
            return Target(text, frozenset(), self.graph.above(first) | {first})
        return self._at(text, self._id(labelled["name"], of_line))

    def _at(self, text: str, revision: str) -> Target:
        return Target(text, self.graph.below([revision]), self.graph.above(revision))

    def _id(self, text: str, among: Sequence[str] | None = None) -> str:
        """The one revision that `text` is the id or the beginning of the id of."""
        known = self.graph.order if among is None else among
        if text in known:
            return text
        matches = [one for one in known if one.startswith(text)] if len(text) >= _PREFIX else []
        if len(matches) > 1:
            raise ambiguous_revision(text, matches)
        if not matches:
            raise unknown_revision(text, self._listed())
        return matches[0]

    def _moved(self, text: str, start: str, count: int) -> Target:
        """`count` steps along the line of `start`; of several lines, 'head' is no place to count from."""
        if start in _HEADS | {BASE}:
            ends = self.graph.heads if start in _HEADS else ()
            if not self.is_one_line:
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
            return "there is none yet"
        return ", ".join(ids if len(ids) <= _LISTED else [*ids[:2], "...", *ids[-2:]])
