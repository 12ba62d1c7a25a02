"""Triggers: what they are, and whether they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import comment_on, on_table, switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Triggers that are missing, that differ, and that nobody declares.

    PostgreSQL changes in its place whether a trigger fires, and its comment; for the rest it is made anew.
    """
    for identity, wanted, found in comparison.changed("trigger"):
        before, after = comparison.found_object(identity), comparison.wanted_object(identity)
        details = comparison.details(wanted, found)
        if not details.keys() <= {"enabled", "comment"}:
            yield DropObjectOp(before, returns=True)
            yield CreateObjectOp(after)
            continue
        forward, backward = [], []
        if "enabled" in details:
            was, will_be = details["enabled"]
            forward.append(switch(identity, will_be))
            backward.append(switch(identity, was))
        if "comment" in details:
            was, will_be = details["comment"]
            forward.append(comment_on("TRIGGER", on_table(identity), will_be))
            backward.append(comment_on("TRIGGER", on_table(identity), was))
        yield AlterObjectOp(before, after, forward, backward, details)
    for identity in comparison.in_the_way("trigger"):
        yield DropObjectOp(comparison.found_object(identity), returns=True)
        yield CreateObjectOp(comparison.wanted_object(identity))
    for item in comparison.missing("trigger"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("trigger"):
        yield DropObjectOp(item)
