"""CHECK constraints whose condition changes; Alembic, which compares them by name, writes those that come and go."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from alembic.operations import ops
from sqlalchemy import text
from sqlalchemy.schema import conv

from dbschema.autogenerate.text import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.identity import Identity

log: Final = logging.getLogger(__name__)

_DEFINITION: Final = re.compile(r"CHECK \((?P<condition>.*)\)", re.DOTALL)
"""As PostgreSQL prints it; one with more to it, such as NO INHERIT, is left to whoever wrote it."""


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Changes Alembic's own operations on the tables, so that all that is done with constraints is done with these, too."""
    for identity, wanted, found in comparison.changed("constraint"):
        if {wanted["type"], found["type"]} != {"check"} or wanted["definition"] == found["definition"]:
            continue
        # Where the type of a column changes, PostgreSQL writes the condition anew by itself.
        if comparison.names_retyped_columns(identity, found):
            continue
        before, after = _creating(identity, found), _creating(identity, wanted)
        if before is not None and after is not None:
            changes = comparison.changes_of(identity)
            changes.insert(0, ops.DropConstraintOp.from_constraint(before.to_constraint()))
            changes.append(after)
            log.info("Detected check %r on %r to modify", identity.name, identity.table)
    yield from ()


def _creating(identity: Identity, attributes: Attributes) -> ops.CreateCheckConstraintOp | None:
    match = _DEFINITION.fullmatch(str(attributes["definition"]))
    if match is None:
        return None
    options = {} if attributes["validated"] else {"postgresql_not_valid": True}
    condition = text(escaped(match["condition"]))
    return ops.CreateCheckConstraintOp(
        conv(identity.name), identity.table, condition, schema=identity.schema, **options
    )
