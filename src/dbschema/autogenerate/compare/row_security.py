"""Row security: whether it is enabled, and whether it binds the table's owner too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import row_security
from dbschema.ddl.base import qualified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.identity import Identity


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Tables whose row security is switched otherwise than wanted; every table has an entry, most have it off."""
    for identity, wanted, found in comparison.changed("row security"):
        yield AlterObjectOp(
            row_security(identity, found),
            row_security(identity, wanted),
            _switched(identity, found, wanted),
            _switched(identity, wanted, found),
            comparison.details(wanted, found),
        )
    for item in comparison.missing("row security"):
        if item.create():
            yield CreateObjectOp(item)
    for item in comparison.unwanted("row security"):
        if item.create():
            yield DropObjectOp(item)


def _switched(identity: Identity, before: Attributes, after: Attributes) -> list[str]:
    words = {
        ("enabled", True): "ENABLE",
        ("enabled", False): "DISABLE",
        ("forced", True): "FORCE",
        ("forced", False): "NO FORCE",
    }
    table = qualified(identity.schema, identity.table)
    return [
        f"ALTER TABLE {table} {words[name, bool(after[name])]} ROW LEVEL SECURITY"
        for name in ("enabled", "forced")
        if before[name] != after[name]
    ]
