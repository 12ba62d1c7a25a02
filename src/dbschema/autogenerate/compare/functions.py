"""Functions: replaced in their place where PostgreSQL can, else dropped and created with all that stands on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import comment_on, owner_to, signature
from dbschema.ddl.objects import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.ddl.objects import Identity

_REFUSED = frozenset({"arguments", "result", "window"})
"""What CREATE OR REPLACE does not change: names and defaults of arguments, the type of the result."""

_BESIDE = frozenset({"comment", "owner"})
"""What is no part of CREATE FUNCTION."""


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Functions that are missing, that differ, and that nobody declares."""
    for identity, wanted, found in comparison.changed("function"):
        if comparison.details(wanted, found).keys() & _REFUSED:
            yield from _recreated(comparison, identity)
        else:
            yield _replaced(comparison, identity, wanted, found)
    for item in comparison.missing("function"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("function"):
        yield DropObjectOp(item)


def _replaced(
    comparison: Comparison, identity: Identity, wanted: Attributes, found: Attributes
) -> AlterObjectOp:
    before, after = comparison.found_object(identity), comparison.wanted_object(identity)
    details = comparison.details(wanted, found)
    forward, backward = [], []
    if details.keys() - _BESIDE:
        forward.append(after.create()[0])
        backward.append(before.create()[0])
    if "comment" in details:
        was, will_be = details["comment"]
        forward.append(comment_on("FUNCTION", signature(identity), will_be))
        backward.append(comment_on("FUNCTION", signature(identity), was))
    if "owner" in details:
        was, will_be = details["owner"]
        forward.append(owner_to(identity, will_be))
        backward.append(owner_to(identity, was))
    return AlterObjectOp(before, after, forward, backward, details)


def _recreated(comparison: Comparison, identity: Identity) -> Iterator[ObjectOp]:
    """The function, and around it what PostgreSQL would not let it go without, or would let go with it."""
    for dependent in _dependents(comparison, identity):
        comparison.settled.add(dependent)
        yield DropObjectOp(comparison.found_object(dependent), returns=True)
    yield DropObjectOp(comparison.found_object(identity), returns=True)
    yield CreateObjectOp(comparison.wanted_object(identity))
    for dependent in _dependents(comparison, identity):
        if dependent in comparison.wanted:
            yield CreateObjectOp(comparison.wanted_object(dependent))


def _dependents(comparison: Comparison, identity: Identity) -> list[Identity]:
    """Triggers and policies that call the function, and grants on it.

    By the text of their definitions: one too many is dropped and created for nothing, in the same transaction.
    """
    found = comparison.found
    call = re.compile(rf"(?<!\w){re.escape(quote(identity.name.partition('(')[0]))}\(")
    callers = [
        item
        for kind in ("policy", "trigger")
        for item, attributes in found.of(kind).items()
        if any(call.search(value) for value in attributes.values() if isinstance(value, str))
    ]
    return callers + [item for item in found.of("grant") if found.parents.get(item) == identity]
