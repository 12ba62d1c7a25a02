"""Extensions: the declared ones are created; others are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import CreateObjectOp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Extensions that are wanted and not there. What a newer release of one would change is the administrator's choice."""
    for item in comparison.missing("extension"):
        yield CreateObjectOp(item)
