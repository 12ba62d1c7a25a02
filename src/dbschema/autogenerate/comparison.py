"""One run of autogenerate: what the models want and what the database has, read once for all kinds of object."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from typing import TYPE_CHECKING

from alembic import util
from alembic.operations import ops
from sqlalchemy import MetaData

from dbschema.autogenerate import order
from dbschema.autogenerate.rebuilt import rebuilt
from dbschema.autogenerate.scope import Scope
from dbschema.catalog import fingerprint, roles, shadow
from dbschema.ddl.extensions import Extension
from dbschema.ddl.registry import declare, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alembic.autogenerate.api import AutogenContext
    from sqlalchemy import Connection

    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes, Catalog, Value
    from dbschema.ddl.base import DatabaseObject
    from dbschema.identity import Identity

log = logging.getLogger(__name__)

_INFO_KEY = "dbschema.comparison"
DISTRIBUTION = "distribution"
"""What `dbschema.ddl.tenancy` notes in the `info` of a table."""


class Comparison:
    """Both sides of one run.

    Args:
        autogen_context: Alembic's.
        upgrade_ops: what Alembic has found out about tables.
    """

    def __init__(self, autogen_context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> None:
        if autogen_context.connection is None:
            raise TypeError("Autogenerate compares with a database, and has no connection to one")
        self.connection: Connection = autogen_context.connection
        self.autogen_context = autogen_context
        self.upgrade_ops = upgrade_ops
        self.metadata = _one(util.to_list(autogen_context.metadata))
        self.compared: set[str] = set()
        """The modules that have run."""
        self.settled: set[Identity] = set()
        """Objects that another kind has seen to, because they had to make way for one of its own."""
        objects = declared(self.metadata)
        self._declared = {item.identity: item for item in objects}
        self._rank = {item.identity: rank for rank, item in enumerate(objects)}
        self._scope = Scope(autogen_context, upgrade_ops, self.metadata, self._declared)
        version_table = autogen_context.migration_context.version_table
        self.wanted: Catalog = shadow.build(self.connection, self.metadata, version_table=version_table)
        self.found: Catalog = fingerprint.read(
            self.connection,
            schemas=self._scope.schemas,
            extensions=[item.name for item in objects if isinstance(item, Extension)],
            roles=[name for name, ours in roles.belonging(self.connection, self.metadata).items() if ours],
            version_table=version_table,
        )

    def missing(self, kind: str) -> Iterator[DatabaseObject]:
        """What is wanted and not there, in the order of its declaration."""
        for identity in self._sorted(self.wanted.of(kind).keys() - self.found.of(kind).keys()):
            if self._concerns(identity) and self._scope.stands(identity, self.wanted, self.found):
                yield self.wanted_object(identity)

    def unwanted(self, kind: str) -> Iterator[DatabaseObject]:
        """What is there and not wanted, in the order of its name."""
        for identity in self._sorted(self.found.of(kind).keys() - self.wanted.of(kind).keys()):
            if self._concerns(identity) and self._scope.stands(identity, self.found, self.wanted):
                yield self.found_object(identity)

    def changed(self, kind: str) -> Iterator[tuple[Identity, Attributes, Attributes]]:
        """What is there otherwise than wanted: identity, the attributes wanted, and those found."""
        wanted, found = self.wanted.of(kind), self.found.of(kind)
        for identity in self._sorted(wanted.keys() & found.keys()):
            if wanted[identity] != found[identity] and self._concerns(identity):
                yield identity, wanted[identity], found[identity]

    @staticmethod
    def details(wanted: Attributes, found: Attributes) -> dict[str, tuple[Value, Value]]:
        """The attributes that differ: what the database has, and what is wanted."""
        return {
            name: (found.get(name), wanted.get(name))
            for name in dict.fromkeys((*wanted, *found))
            if wanted.get(name) != found.get(name)
        }

    def wanted_object(self, identity: Identity) -> DatabaseObject:
        """The object as the models declare it."""
        return self._declared.get(identity) or rebuilt(identity, self.wanted)

    def found_object(self, identity: Identity) -> DatabaseObject:
        """The object as the database has it."""
        return rebuilt(identity, self.found)

    def in_the_way(self, kind: str) -> Iterator[Identity]:
        """What is as wanted, and names a column whose type changes: PostgreSQL refuses that while it is there."""
        wanted, found = self.wanted.of(kind), self.found.of(kind)
        for identity in self._sorted(
            {item for item in wanted.keys() & found.keys() if wanted[item] == found[item]}
        ):
            if self.names_retyped_columns(identity, found[identity]) and self._concerns(identity):
                yield identity

    def names_retyped_columns(self, identity: Identity, attributes: Attributes) -> bool:
        """Whether an object names a column of its table whose type changes in the same revision."""
        columns = self._scope.retyped[identity.schema, identity.table]
        return bool(columns and columns & _words(attributes))

    def changes_of(self, identity: Identity) -> list[ops.MigrateOperation]:
        """What is done to the table of an object, to be added to."""
        for op in self.upgrade_ops.ops:
            if isinstance(op, ops.ModifyTableOps) and (op.schema, op.table_name) == (
                identity.schema,
                identity.table,
            ):
                return op.ops
        changes = ops.ModifyTableOps(identity.table, [], schema=identity.schema)
        self.upgrade_ops.ops.append(changes)
        return changes.ops

    def columns_change(self, identity: Identity) -> bool:
        """Whether columns of the table that an object stands on come, go or change in the same revision.

        What speaks of columns cannot be changed in one step then: before them it names some that are not there yet,
        after them it has held some in place that were to go.
        """
        return bool(self._scope.changed[identity.schema, identity.table])

    def _concerns(self, identity: Identity) -> bool:
        return identity not in self.settled and self._scope.concerns(identity)

    def _sorted(self, identities: set[Identity]) -> Sequence[Identity]:
        def key(identity: Identity) -> tuple[int, str, str, str]:
            rank = self._rank.get(identity, len(self._rank))
            return rank, identity.schema or "", identity.table, identity.name

        return sorted(identities, key=key)


def _words(attributes: Attributes) -> set[str]:
    return {word for value in attributes.values() for word in re.findall(r"\w+", str(value))}


def _one(metadata: Sequence[MetaData]) -> MetaData:
    """One metadata for what several declare."""
    if len(metadata) == 1:
        return metadata[0]
    together = MetaData()
    for single in metadata:
        for table in single.sorted_tables:
            table.to_metadata(together)
        declare(together, *declared(single))
    return together


def _leave_out_notes(upgrade_ops: ops.UpgradeOps) -> None:
    """Take our own notes out of the tables' `info`, which Alembic would write into the revision."""
    for op in upgrade_ops.ops:
        if isinstance(op, ops.CreateTableOp) and op.info:
            op.info = {key: value for key, value in op.info.items() if key != DISTRIBUTION}


def run(name: str, autogen_context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> None:
    """Compare one kind, add what is to be done, and put everything in order.

    Args:
        name: the module of `dbschema.autogenerate.compare`; run a second time it does nothing.
        autogen_context, upgrade_ops: as Alembic gives them.
    """
    comparison: Comparison | None = upgrade_ops.info.get(_INFO_KEY)
    if comparison is None:
        _leave_out_notes(upgrade_ops)
        comparison = upgrade_ops.info[_INFO_KEY] = Comparison(autogen_context, upgrade_ops)
    if name in comparison.compared:
        return
    comparison.compared.add(name)
    compare: Callable[[Comparison], Iterator[ObjectOp]]
    compare = import_module(f"dbschema.autogenerate.compare.{name}").compare
    for op in compare(comparison):
        upgrade_ops.ops.append(op)
        identity = op.identity
        place = f" on {identity.table!r}" if identity.table not in {"", identity.name} else ""
        log.info("Detected %s %r%s to %s", identity.kind, identity.name, place, op.verb)
    order.arrange(upgrade_ops)
