"""The graph of revisions: one branch, or the branches of several packages that depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Node:
    """One revision of the graph.

    Args:
        id: the id of the revision.
        down: its parents in its own branch; several for a merge revision.
        depends: the revisions of other branches that it requires.
        labels: the labels of its branch.
    """

    id: str
    down: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()


def line(ids: Iterable[str]) -> tuple[Node, ...]:
    """Return the nodes of a single branch, from the first revision to the last."""
    nodes: list[Node] = []
    for revision in ids:
        nodes.append(Node(revision, (nodes[-1].id,) if nodes else ()))
    return tuple(nodes)


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """Sort `nodes`: each node after its parents and dependencies, and a dependency only when a node needs it.

    If branch B depends on branch A, only the required revisions of A come before B. This is the order in which the
    authors of B applied them. The order is deterministic.
    """
    by_id = {node.id: node for node in nodes}

    def required_by(revision: str) -> list[str]:
        return [*sorted(by_id[revision].down), *sorted(by_id[revision].depends)]

    required = {below for revision in by_id for below in required_by(revision)}
    rest = sorted(
        by_id,
        key=lambda revision: (revision in required, not _needs_others(by_id, revision), revision),
        reverse=True,
    )
    ordered: dict[str, Node] = {}
    while rest:
        revision = rest[-1]
        missing = [below for below in required_by(revision) if below not in ordered]
        if missing:
            rest.extend(reversed(missing))
        else:
            ordered.setdefault(rest.pop(), by_id[revision])
    return list(ordered.values())


class Graph:
    """The graph of the revisions of a history.

    Args:
        nodes: the nodes, each after its parents and dependencies. They contain every id that they refer to.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.order = tuple(node.id for node in nodes)
        self._nodes = {node.id: node for node in nodes}

    def __contains__(self, revision: object) -> bool:
        return revision in self._nodes

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The last revision of each branch, in graph order. Includes heads that other branches depend on."""
        followed = {below for node in self._nodes.values() for below in node.down}
        return tuple(revision for revision in self.order if revision not in followed)

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The first revision of each branch."""
        return tuple(node.id for node in self._nodes.values() if not node.down)

    def split(self) -> tuple[str, ...]:
        """Return the heads of the first branch that has several heads; an empty tuple if each branch has one head."""
        for base in self.bases:
            same = tuple(head for head in self.heads if base in self._branch_below(head))
            if len(same) > 1:
                return same
        return ()

    def share_a_branch(self, revisions: Sequence[str]) -> bool:
        """Whether one of `revisions` follows another of them in the same branch."""
        return any(
            lower != upper and lower in self._branch_below(upper)
            for lower in revisions
            for upper in revisions
        )

    def below(self, revisions: Iterable[str]) -> frozenset[str]:
        """Return `revisions` with all their ancestors: the applied revisions of a database at `revisions`."""
        return _closed(self._nodes, revisions, lambda node: (*node.down, *node.depends))

    def above(self, revision: str) -> frozenset[str]:
        """Return all descendants of `revision`, without `revision` itself."""
        descendants = {revision}
        for node in self._nodes.values():  # each after its parents and dependencies
            if not descendants.isdisjoint((*node.down, *node.depends)):
                descendants.add(node.id)
        return frozenset(descendants - {revision})

    def tops(self, applied: frozenset[str]) -> tuple[str, ...]:
        """Return the revisions of `applied` that no other of them requires: the content of the version table."""
        required = {
            below
            for revision in applied
            for below in (*self._nodes[revision].down, *self._nodes[revision].depends)
        }
        return tuple(revision for revision in self.order if revision in applied and revision not in required)

    def parents(self, revision: str) -> tuple[str, ...]:
        """Return the revisions that `revision` follows in its branch."""
        return self._nodes[revision].down

    def children(self, revision: str) -> tuple[str, ...]:
        """Return the revisions that follow `revision` in its branch."""
        return tuple(node.id for node in self._nodes.values() if revision in node.down)

    def labelled(self, label: str) -> tuple[str, ...]:
        """Return the revisions of the branch with this label, in order."""
        return tuple(node.id for node in self._nodes.values() if label in node.labels)

    def _branch_below(self, revision: str) -> frozenset[str]:
        return _closed(self._nodes, [revision], lambda node: node.down)


def _needs_others(nodes: Mapping[str, Node], revision: str) -> bool:
    """Whether `revision` or an ancestor in its branch depends on another branch."""
    return any(nodes[below].depends for below in _closed(nodes, [revision], lambda node: node.down))


def _closed(
    nodes: Mapping[str, Node], revisions: Iterable[str], parents: Callable[[Node], Iterable[str]]
) -> frozenset[str]:
    """Return the transitive closure of `revisions` under `parents`."""
    closure: set[str] = set()
    rest = list(revisions)
    while rest:
        revision = rest.pop()
        if revision not in closure:
            closure.add(revision)
            rest.extend(parents(nodes[revision]))
    return frozenset(closure)


Direction = Literal["upgrade", "downgrade"]


@dataclass(frozen=True)
class Revision:
    """One revision: its id, and the first line of its docstring."""

    id: str
    doc: str
