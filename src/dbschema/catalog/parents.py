"""With which other object each one comes and goes, so that a missing table is told once and not column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from dbschema.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dbschema.catalog.model import Attributes

Granted: TypeAlias = tuple[Identity, str, str]
"""Of a grant: its identity, the kind of thing it speaks of as GRANT calls it, and the name of that thing."""

RELATIONS = frozenset({"table", "foreign table", "view", "materialized view"})
TYPES = frozenset({"enum", "domain", "composite type", "range type"})
STANDING_ALONE = frozenset({"extension", "role", "schema"})
CODE = frozenset({"function", "procedure", "aggregate"})


def parents_of(
    entries: Mapping[Identity, Attributes], granted: Iterable[Granted] = ()
) -> dict[Identity, Identity]:
    """The parent of each of `entries` that has one: a table, a schema, what a grant is on."""
    relations = {(item.schema, item.table): item for item in entries if item.kind in RELATIONS}
    types = {(item.schema, item.name): item for item in entries if item.kind in TYPES}
    code = {(item.schema, item.name): item for item in entries if item.kind in CODE}
    parents: dict[Identity, Identity] = {}
    for item, attributes in entries.items():
        if item.kind in STANDING_ALONE:
            continue
        table = "" if item.kind in RELATIONS else item.table
        if item.kind == "sequence":
            table = str(attributes.get("owned by table") or "")
        parents[item] = relations.get((item.schema, table)) or schema_of(item)
    for item, target, name in granted:
        if target == "COLUMN":
            parents[item] = Identity("column", item.schema, item.table, name.removeprefix(f"{item.table}."))
        elif target == "TYPE":
            parents[item] = types.get((item.schema, name)) or schema_of(item)
        elif target == "SEQUENCE":
            parents[item] = Identity("sequence", item.schema, "", name)
        elif target in {"FUNCTION", "PROCEDURE"}:
            parents[item] = code.get((item.schema, name)) or schema_of(item)
    return parents


def schema_of(item: Identity) -> Identity:
    """The schema that `item` is in."""
    return Identity("schema", item.schema, "", item.schema or "")
