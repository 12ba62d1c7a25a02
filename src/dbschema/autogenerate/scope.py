"""Which objects a run of autogenerate is about: the schemas it compares, and what the user's filters leave of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from alembic.operations import ops
from sqlalchemy import MetaData, Table, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alembic.autogenerate.api import AutogenContext

    from dbschema.catalog import Catalog
    from dbschema.identity import Identity

TableKey: TypeAlias = tuple[str | None, str]

# Those that an extension brought, and those that hold one.
_EXTENSION_SCHEMAS = """
SELECT n.nspname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'e'
UNION SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""


class Scope:
    """The limits of one run.

    Args:
        autogen_context: Alembic's, with the filters of the user.
        upgrade_ops: what Alembic has found out about tables.
        metadata: what the models declare.
        identities: of the declared objects.
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
        self.coming = {_key(op) for op in upgrade_ops.ops if isinstance(op, ops.CreateTableOp)}
        self.going = {_key(op) for op in upgrade_ops.ops if isinstance(op, ops.DropTableOp)}
        self.changed: defaultdict[TableKey, set[str]] = defaultdict(set)
        """By table, the columns that come, go or change."""
        self.retyped: defaultdict[TableKey, set[str]] = defaultdict(set)
        """By table, the columns whose type changes."""
        for op in upgrade_ops.ops:
            if isinstance(op, ops.ModifyTableOps):
                self._note_columns(op)
        self.schemas = self._schemas_by_name(identities)
        """Real name of each schema, to its logical one; None: the default schema."""

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
            there = set(context.inspector.get_schema_names())
            there -= {"information_schema", context.dialect.default_schema_name}
            there -= set(context.connection.scalars(text(_EXTENSION_SCHEMAS)))
            there |= {table.schema for table in self._metadata.tables.values() if table.schema is not None}
            there |= {identity.schema for identity in identities if identity.schema is not None}
            schemas |= {name: name for name in sorted(there) if context.run_name_filters(name, "schema", {})}
        return schemas

    def concerns(self, identity: Identity) -> bool:
        """Whether the object is of a schema that is compared, and neither it nor its table is filtered out."""
        if identity.schema not in self.schemas.values():
            return False
        run_name_filters = self._context.run_name_filters
        parents: dict[str, str | None] = {"schema_name": identity.schema}
        if identity.table:
            if not self._concerns_table(identity):
                return False
            parents["table_name"] = identity.table
        # Filters see the kinds that Alembic does not know, too, and ask for those that they mean.
        return run_name_filters(identity.name, identity.kind, parents)  # type: ignore[arg-type]  # see above

    def _concerns_table(self, identity: Identity) -> bool:
        context, schema, table = self._context, identity.schema, identity.table
        if table == context.migration_context.version_table:
            return False
        model = self._metadata.tables.get(table if schema is None else f"{schema}.{table}")
        item = Table(table, MetaData(), schema=schema) if model is None else model
        return context.run_name_filters(
            table, "table", {"schema_name": schema}
        ) and context.run_object_filters(item, table, "table", model is None, None)

    def stands(self, identity: Identity, catalog: Catalog, other: Catalog) -> bool:
        """Whether what an object of `catalog` stands on is in the `other` one too, or comes or goes in this revision.

        A policy of a table that nobody creates cannot be created, and a grant on a view that nobody drops is left alone.
        """
        parent = catalog.parents.get(identity)
        if parent is None or parent.kind in {"schema", "function"} or parent in other:
            return True
        if parent.kind == "table":
            return (parent.schema, parent.table) in self.coming | self.going
        if parent.kind in {"column", "sequence"}:
            # The sequence behind a column is not an object of its own.
            above = catalog.parents.get(parent)
            return above is None or (above.kind == "table" and self.stands(parent, catalog, other))
        return False


def _key(op: ops.CreateTableOp | ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)
