"""Which revision stands on which: one line, or the lines of several packages that stand on one another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Node:
    """One revision.

    Args:
        id: its id.
        down: the revisions that it follows in its line; several where it joins two.
        depends: those of other lines that have to be applied before it.
        labels: the names of the line that it belongs to.
    """

    id: str
    down: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()


def line(ids: Iterable[str]) -> tuple[Node, ...]:
    """One line, from the first to the last."""
    nodes: list[Node] = []
    for one in ids:
        nodes.append(Node(one, (nodes[-1].id,) if nodes else ()))
    return tuple(nodes)


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """`nodes`, each after all that it stands on, and not before something needs it.

    So a line on which another one depends is applied as far as that one was written for, before it goes on: in the order
    in which they met in the databases of those who wrote them. The same nodes always come in the same order.
    """
    known = {node.id: node for node in nodes}

    def under(one: str) -> list[str]:
        return [*sorted(known[one].down), *sorted(known[one].depends)]

    stood_on = {below for one in known for below in under(one)}
    rest = sorted(known, key=lambda one: (one in stood_on, not _needs_others(known, one), one), reverse=True)
    ordered: dict[str, Node] = {}
    while rest:
        one = rest[-1]
        missing = [below for below in under(one) if below not in ordered]
        if missing:
            rest.extend(reversed(missing))
        else:
            ordered.setdefault(rest.pop(), known[one])
    return list(ordered.values())


class Graph:
    """The revisions of a history, each after all that it stands on.

    Args:
        nodes: in such an order. What they name is among them.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.order = tuple(node.id for node in nodes)
        self._nodes = {node.id: node for node in nodes}

    def __contains__(self, revision: object) -> bool:
        return revision in self._nodes

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The last revision of each line, in the order of all; also one on which another line depends."""
        followed = {below for node in self._nodes.values() for below in node.down}
        return tuple(one for one in self.order if one not in followed)

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The first revision of each line."""
        return tuple(node.id for node in self._nodes.values() if not node.down)

    def split(self) -> tuple[str, ...]:
        """The heads of the first line that has more than one; none where each line has one."""
        for base in self.bases:
            same = tuple(head for head in self.heads if base in self._line_below(head))
            if len(same) > 1:
                return same
        return ()

    def share_a_line(self, revisions: Sequence[str]) -> bool:
        """Whether one of them follows another in its line."""
        return any(
            one != other and one in self._line_below(other) for one in revisions for other in revisions
        )

    def below(self, revisions: Iterable[str]) -> frozenset[str]:
        """`revisions`, and all that they stand on: what is applied where a database stands at them."""
        return _closed(self._nodes, revisions, lambda node: (*node.down, *node.depends))

    def above(self, revision: str) -> frozenset[str]:
        """All that stands on `revision`, without itself."""
        found = {revision}
        for node in self._nodes.values():  # each after what it stands on
            if not found.isdisjoint((*node.down, *node.depends)):
                found.add(node.id)
        return frozenset(found - {revision})

    def tops(self, applied: frozenset[str]) -> tuple[str, ...]:
        """The revisions of `applied` on which no other of them stands: what the version table holds."""
        stood_on = {below for one in applied for below in (*self._nodes[one].down, *self._nodes[one].depends)}
        return tuple(one for one in self.order if one in applied and one not in stood_on)

    def parents(self, revision: str) -> tuple[str, ...]:
        """What it follows in its line."""
        return self._nodes[revision].down

    def children(self, revision: str) -> tuple[str, ...]:
        """What follows it in its line."""
        return tuple(node.id for node in self._nodes.values() if revision in node.down)

    def labelled(self, label: str) -> tuple[str, ...]:
        """The revisions of the line that has this name, in their order."""
        return tuple(node.id for node in self._nodes.values() if label in node.labels)

    def _line_below(self, revision: str) -> frozenset[str]:
        return _closed(self._nodes, [revision], lambda node: node.down)


def _needs_others(nodes: Mapping[str, Node], revision: str) -> bool:
    """Whether a revision, or one that it follows in its line, depends on another line."""
    return any(nodes[one].depends for one in _closed(nodes, [revision], lambda node: node.down))


def _closed(
    nodes: Mapping[str, Node], revisions: Iterable[str], under: Callable[[Node], Iterable[str]]
) -> frozenset[str]:
    found: set[str] = set()
    rest = list(revisions)
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest.extend(under(nodes[one]))
    return frozenset(found)


Direction = Literal["upgrade", "downgrade"]


@dataclass(frozen=True)
class Revision:
    """One revision: its id, and the first line of its text."""

    id: str
    doc: str
