"""Grants: what each role may do with each object; changed by what is to be added and what is to be taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import grant, privileges_changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Grants that are missing, that differ, and that nobody declares."""
    for identity, wanted, found in comparison.changed("grant"):
        yield AlterObjectOp(
            grant(identity, found, comparison.found),
            grant(identity, wanted, comparison.wanted),
            # Functions have got their owners by then, and keep them until this has been undone.
            privileges_changed(identity, found, wanted, comparison.wanted),
            privileges_changed(identity, wanted, found, comparison.wanted),
            comparison.details(wanted, found),
        )
    for item in comparison.missing("grant"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("grant"):
        yield DropObjectOp(item)
