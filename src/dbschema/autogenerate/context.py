"""Prepare one run of autogenerate: read both catalogs once for all kinds, and apply the schemas and filters of the user."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from alembic import util
from alembic.operations import ops
from sqlalchemy import MetaData, Table, text

from dbschema._alembic import add_name_filter
from dbschema.autogenerate import render
from dbschema.autogenerate.from_catalog import object_from_catalog
from dbschema.catalog import desired, introspect, prerequisites
from dbschema.ddl.extensions import Extension
from dbschema.ddl.registry import declare, declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps
    from sqlalchemy import Connection

    from dbschema.catalog import Attributes, Catalog, Value
    from dbschema.ddl.base import DatabaseObject
    from dbschema.sql import Identity


DISTRIBUTION = "distribution"
"""The key of `dbschema.ddl.tenancy` in the `info` of a table."""


class Comparison:
    """The expected and the actual catalog of one run.

    Args:
        autogen_context: Alembic's context.
        upgrade_ops: Alembic's operations on tables.
    """

    def __init__(self, autogen_context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> None:
        if autogen_context.connection is None:
            raise TypeError("Autogenerate needs a connection to the database that it compares")
        self.connection: Connection = autogen_context.connection
        self.autogen_context = autogen_context
        self.upgrade_ops = upgrade_ops
        self.metadata = _merged(util.to_list(autogen_context.metadata))
        self.finished: set[str] = set()
        """The kinds that have been compared."""
        self.handled: set[Identity] = set()
        """Objects that the comparator of another kind has dropped or created together with its own."""
        objects = declared(self.metadata)
        self._declared = {item.identity: item for item in objects}
        self._rank = {item.identity: rank for rank, item in enumerate(objects)}
        self._scope = Scope(autogen_context, upgrade_ops, self.metadata, self._declared)
        version_table = autogen_context.migration_context.version_table
        self.expected: Catalog = desired.build(self.connection, self.metadata, version_table=version_table)
        self.actual: Catalog = introspect.read(
            self.connection,
            schemas=self._scope.schemas,
            extensions=[item.name for item in objects if isinstance(item, Extension)],
            roles=[
                name
                for name, belongs in prerequisites.roles_in_database(self.connection, self.metadata).items()
                if belongs
            ],
            version_table=version_table,
        )

    def missing(self, kind: str) -> Iterator[DatabaseObject]:
        """Yield the objects that are only expected, in the order of their declaration."""
        for identity in self._sorted(self.expected.of(kind).keys() - self.actual.of(kind).keys()):
            if self._includes(identity) and self._scope.parent_exists(identity, self.expected, self.actual):
                yield self.expected_object(identity)

    def undeclared(self, kind: str) -> Iterator[DatabaseObject]:
        """Yield the objects that are only actual, in the order of their names."""
        for identity in self._sorted(self.actual.of(kind).keys() - self.expected.of(kind).keys()):
            if self._includes(identity) and self._scope.parent_exists(identity, self.actual, self.expected):
                yield self.actual_object(identity)

    def changed(self, kind: str) -> Iterator[tuple[Identity, Attributes, Attributes]]:
        """Yield identity, expected attributes and actual attributes of each object that differs."""
        expected, actual = self.expected.of(kind), self.actual.of(kind)
        for identity in self._sorted(expected.keys() & actual.keys()):
            if expected[identity] != actual[identity] and self._includes(identity):
                yield identity, expected[identity], actual[identity]

    @staticmethod
    def details(expected: Attributes, actual: Attributes) -> dict[str, tuple[Value, Value]]:
        """Return the actual and the expected value of each attribute that differs."""
        return {
            name: (actual.get(name), expected.get(name))
            for name in dict.fromkeys((*expected, *actual))
            if expected.get(name) != actual.get(name)
        }

    def expected_object(self, identity: Identity) -> DatabaseObject:
        """Return the object as the models declare it."""
        return self._declared.get(identity) or object_from_catalog(identity, self.expected)

    def actual_object(self, identity: Identity) -> DatabaseObject:
        """Return the object as the database has it."""
        return object_from_catalog(identity, self.actual)

    def blocking_type_changes(self, kind: str) -> Iterator[Identity]:
        """Yield the unchanged objects that name a column whose type changes: PostgreSQL rejects the change while they exist."""
        expected, actual = self.expected.of(kind), self.actual.of(kind)
        for identity in self._sorted(
            {item for item in expected.keys() & actual.keys() if expected[item] == actual[item]}
        ):
            if self.uses_retyped_column(identity, actual[identity]) and self._includes(identity):
                yield identity

    def uses_retyped_column(self, identity: Identity, attributes: Attributes) -> bool:
        """Whether an object names a column of its table whose type changes in the same revision."""
        columns = self._scope.retyped[identity.schema, identity.table]
        return bool(columns and columns & _words(attributes))

    def changes_of(self, identity: Identity) -> list[ops.MigrateOperation]:
        """Return the list of the operations on the table of an object; the caller may add to it."""
        for op in self.upgrade_ops.ops:
            if isinstance(op, ops.ModifyTableOps) and (op.schema, op.table_name) == (
                identity.schema,
                identity.table,
            ):
                return op.ops
        changes = ops.ModifyTableOps(identity.table, [], schema=identity.schema)
        self.upgrade_ops.ops.append(changes)
        return changes.ops

    def has_changed_columns(self, identity: Identity) -> bool:
        """Whether the same revision adds, drops or changes columns of the object's table.

        Then an object that names columns cannot be altered in one step: before the change of columns, a new column is
        missing; after it, the object has prevented the drop of an old one.
        """
        return bool(self._scope.changed[identity.schema, identity.table])

    def _includes(self, identity: Identity) -> bool:
        return identity not in self.handled and self._scope.includes(identity)

    def _sorted(self, identities: set[Identity]) -> Sequence[Identity]:
        def key(identity: Identity) -> tuple[int, str, str, str]:
            rank = self._rank.get(identity, len(self._rank))
            return rank, identity.schema or "", identity.table, identity.name

        return sorted(identities, key=key)


def _words(attributes: Attributes) -> set[str]:
    return {word for value in attributes.values() for word in re.findall(r"\w+", str(value))}


def _merged(metadata: Sequence[MetaData]) -> MetaData:
    """Merge several MetaData into one."""
    if len(metadata) == 1:
        return metadata[0]
    merged = MetaData()
    for metadata_part in metadata:
        for table in metadata_part.sorted_tables:
            table.to_metadata(merged)
        declare(merged, *declared(metadata_part))
    return merged


TableKey: TypeAlias = tuple[str | None, str]

# Schemas that an extension created, and schemas that contain an extension.
_EXTENSION_SCHEMAS = """
SELECT n.nspname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'e'
UNION SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""


class Scope:
    """The objects that one run compares.

    Args:
        autogen_context: Alembic's context, with the filters of the user.
        upgrade_ops: Alembic's operations on tables.
        metadata: the models.
        identities: the identities of the declared objects.
    """

    def __init__(
        self,
        autogen_context: AutogenContext,
        upgrade_ops: ops.UpgradeOps,
        metadata: MetaData,
        identities: Iterable[Identity],
    ) -> None:
        self._context = autogen_context
        self._metadata = metadata
        self.created = {_key(op) for op in upgrade_ops.ops if isinstance(op, ops.CreateTableOp)}
        self.dropped = {_key(op) for op in upgrade_ops.ops if isinstance(op, ops.DropTableOp)}
        self.changed: defaultdict[TableKey, set[str]] = defaultdict(set)
        """By table, the columns that are added, dropped or changed."""
        self.retyped: defaultdict[TableKey, set[str]] = defaultdict(set)
        """By table, the columns whose type changes."""
        for op in upgrade_ops.ops:
            if isinstance(op, ops.ModifyTableOps):
                self._note_columns(op)
        self.schemas = self._schemas_by_name(identities)
        """Logical name by real name of each schema; None is the default schema."""

    def _note_columns(self, op: ops.ModifyTableOps) -> None:
        for change in op.ops:
            if isinstance(change, ops.AddColumnOp):
                self.changed[_key(op)].add(change.column.name)
            elif isinstance(change, ops.DropColumnOp | ops.AlterColumnOp):
                self.changed[_key(op)].add(str(change.column_name))
                if isinstance(change, ops.AlterColumnOp) and change.modify_type is not None:
                    self.retyped[_key(op)].add(str(change.column_name))

    def _schemas_by_name(self, identities: Iterable[Identity]) -> Mapping[str | None, str | None]:
        context = self._context
        schemas: dict[str | None, str | None] = {None: None}
        if context.opts.get("include_schemas", False) and context.connection is not None:
            names = set(context.inspector.get_schema_names())
            names -= {"information_schema", context.dialect.default_schema_name}
            names -= set(context.connection.scalars(text(_EXTENSION_SCHEMAS)))
            names |= {table.schema for table in self._metadata.tables.values() if table.schema is not None}
            names |= {identity.schema for identity in identities if identity.schema is not None}
            schemas |= {name: name for name in sorted(names) if context.run_name_filters(name, "schema", {})}
        return schemas

    def includes(self, identity: Identity) -> bool:
        """Whether the schema of the object is compared, and the filters exclude neither the object nor its table."""
        if identity.schema not in self.schemas.values():
            return False
        run_name_filters = self._context.run_name_filters
        parents: dict[str, str | None] = {"schema_name": identity.schema}
        if identity.table:
            if not self._includes_table(identity):
                return False
            parents["table_name"] = identity.table
        # Filters receive kinds that Alembic does not know; they select the kinds that they handle.
        return run_name_filters(identity.name, identity.kind, parents)  # type: ignore[arg-type]  # see above

    def _includes_table(self, identity: Identity) -> bool:
        context, schema, table = self._context, identity.schema, identity.table
        if table == context.migration_context.version_table:
            return False
        model = self._metadata.tables.get(table if schema is None else f"{schema}.{table}")
        item = Table(table, MetaData(), schema=schema) if model is None else model
        return context.run_name_filters(
            table, "table", {"schema_name": schema}
        ) and context.run_object_filters(item, table, "table", model is None, None)

    def parent_exists(self, identity: Identity, catalog: Catalog, other: Catalog) -> bool:
        """Whether the parent of an object of `catalog` is in `other` too, or is created or dropped in this revision.

        The policy of a table that no revision creates cannot be created, and a grant on a view that no revision drops is
        left unchanged.
        """
        parent = catalog.parents.get(identity)
        if parent is None or parent.kind in {"schema", "function"} or parent in other:
            return True
        if parent.kind == "table":
            return (parent.schema, parent.table) in self.created | self.dropped
        if parent.kind in {"column", "sequence"}:
            # The sequence of a column is not a separate object.
            above = catalog.parents.get(parent)
            return above is None or (above.kind == "table" and self.parent_exists(parent, catalog, other))
        return False


def _key(op: ops.CreateTableOp | ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)


_PREPARED_KEY = "dbschema.prepared"

# By the dependency on the extension, not by name: PostGIS with tiger and topology owns 39 tables. Alembic reports tables of
# every schema in the search_path under the default schema.
_EXTENSION_TABLES = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e' AND d.objsubid = 0
"""


def prepare(autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> None:
    """Exclude the tables of extensions, and render the types of this package; once for each run of autogenerate."""
    if _PREPARED_KEY in upgrade_ops.info:
        return
    upgrade_ops.info[_PREPARED_KEY] = True
    _leave_out_extension_tables(autogen_context)
    _render_our_types(autogen_context.opts)


def _leave_out_extension_tables(autogen_context: AutogenContext) -> None:
    connection = autogen_context.connection
    if connection is None:
        return
    owned: set[tuple[str | None, str]] = set()
    for schema, table, visible in connection.execute(text(_EXTENSION_TABLES)):
        owned.add((schema, table))
        if visible:
            owned.add((None, table))
    # A model of such a table is compared with it.
    owned -= {(table.schema, table.name) for table in autogen_context.table_key_to_table.values()}

    def is_ours(name: str | None, kind: str, parents: MutableMapping[str, Any]) -> bool:
        return kind != "table" or (parents.get("schema_name"), name) not in owned

    add_name_filter(autogen_context, is_ours)


def _render_our_types(opts: dict[str, Any]) -> None:
    theirs = opts.get("render_item")
    if isinstance(theirs, partial) and theirs.func is _render_theirs_first:
        return  # the options are reused by the next run
    opts["render_item"] = partial(_render_theirs_first, theirs)


def _render_theirs_first(theirs: Any, kind: str, item: Any, autogen_context: AutogenContext) -> Any:
    if theirs:
        rendered = theirs(kind, item, autogen_context)
        if rendered is not False:
            return rendered
    return render.render_item(kind, item, autogen_context)
