"""Functions: replaced in their place where PostgreSQL can, else dropped and created with all that stands on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import Rebuilt, comment_on, signature
from dbschema.ddl.base import quote
from dbschema.ddl.functions import Function
from dbschema.ddl.ownership import give, take
from dbschema.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.ddl.base import DatabaseObject

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
        comparison.settled.update(_comes_with(item))
        yield CreateObjectOp(item)
    for item in comparison.unwanted("function"):
        yield DropObjectOp(item)


def _replaced(
    comparison: Comparison, identity: Identity, wanted: Attributes, found: Attributes
) -> AlterObjectOp:
    before, after = comparison.found_object(identity), comparison.wanted_object(identity)
    details = comparison.details(wanted, found)
    forward: list[str] = []
    backward: list[str] = []
    if details.keys() - _BESIDE:
        forward += _definition(after)
        backward += _definition(before)
    if "comment" in details:
        was, will_be = details["comment"]
        forward.append(comment_on("FUNCTION", signature(identity), will_be))
        backward.append(comment_on("FUNCTION", signature(identity), was))
    return AlterObjectOp(
        before,
        after,
        _between(identity, found["owner"], forward, wanted["owner"]),
        _between(identity, wanted["owner"], backward, found["owner"]),
        details,
    )


def _between(
    identity: Identity, owner: object, statements: Iterable[str], next_owner: object
) -> Iterator[str]:
    """`statements` by whoever runs them, between one owner and the next; None: he is that himself."""
    if owner is not None:
        yield take(signature(identity), str(owner))
    yield from statements
    if next_owner is not None:
        yield give(signature(identity), identity.schema, str(next_owner))


def _definition(item: DatabaseObject) -> tuple[str, ...]:
    if not isinstance(item, Function | Rebuilt):
        raise TypeError(f"{item.identity.name} is no function")
    return item.definition()


def _comes_with(item: DatabaseObject) -> set[Identity]:
    """The grants that creating a function makes."""
    if not isinstance(item, Function):
        return set()
    _, schema, _, name = item.identity
    return {Identity("grant", schema, "", f"FUNCTION {name} TO {role}") for role in item.executable_by}


def _recreated(comparison: Comparison, identity: Identity) -> Iterator[ObjectOp]:
    """The function, and around it what PostgreSQL would not let it go without, or would let go with it."""
    for dependent in _dependents(comparison, identity):
        comparison.settled.add(dependent)
        yield DropObjectOp(comparison.found_object(dependent), returns=True)
    yield DropObjectOp(comparison.found_object(identity), returns=True)
    wanted = comparison.wanted_object(identity)
    yield CreateObjectOp(wanted)
    made = _comes_with(wanted)
    comparison.settled.update(made)
    for dependent in _dependents(comparison, identity):
        if dependent in comparison.wanted and dependent not in made:
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
