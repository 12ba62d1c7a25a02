"""The differences, kind by kind, between what the models name and what the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.catalog import Difference
from dbschema.ddl import Function, Grant, Identity, declared
from dbschema.verify.unbuilt import found, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection, MetaData, Table

    from dbschema.ddl import DatabaseObject


def compare(connection: Connection, metadata: MetaData) -> tuple[Difference, ...]:
    """What the database has otherwise than `metadata` says, as far as it can be told this way; nothing is written."""
    differences: list[Difference] = []
    objects = declared(metadata)
    for table in metadata.sorted_tables:
        standing = [item for item in objects if item.table_key == (table.schema, table.name)]
        differences += _table(connection, table, standing)
    for item in objects:
        if isinstance(item, Function):
            differences += _standing_alone(item, wanted.function(item), found.function(connection, item))
        elif isinstance(item, Grant) and item.target != "TABLE":
            differences += _standing_alone(item, wanted.grant(item), found.grant(connection, item))
    return tuple(differences)


def _table(connection: Connection, table: Table, standing: Sequence[DatabaseObject]) -> Iterator[Difference]:
    if not found.exists(connection, table):
        yield Difference(Identity("table", table.schema, table.name, table.name), "missing")
        return
    pairs = (
        ("column", wanted.columns(table), found.columns(connection, table)),
        ("constraint", wanted.constraints(table), found.constraints(connection, table)),
        ("index", wanted.indexes(table), found.indexes(connection, table)),
        ("trigger", wanted.triggers(standing), found.triggers(connection, table)),
        ("policy", wanted.policies(standing), found.policies(connection, table)),
        ("row security", wanted.row_security(table, standing), found.row_security(connection, table)),
        ("grant", wanted.grants(standing), found.grants(connection, table)),
    )
    for kind, ours, theirs in pairs:
        # The server names a constraint that has no name; which one that is cannot be told.
        nameless = kind == "constraint" and wanted.has_nameless_constraints(table)
        for name in sorted({*ours, *theirs}):
            identity = Identity(kind, table.schema, table.name, name)
            if name not in theirs:
                yield Difference(identity, "missing")
            elif name in ours:
                yield from _changed(identity, ours[name], theirs[name])
            elif not nameless:
                yield Difference(identity, "extra")


def _standing_alone(
    item: DatabaseObject, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None
) -> Iterator[Difference]:
    if theirs is None:
        yield Difference(item.identity, "missing")
    else:
        yield from _changed(item.identity, ours, theirs)


def _changed(identity: Identity, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    for attribute, value in ours.items():
        if theirs[attribute] != value:
            yield Difference(identity, "changed", attribute, value, theirs[attribute])
