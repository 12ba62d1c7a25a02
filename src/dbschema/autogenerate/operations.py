"""Alembic operations on declared objects, and the order of the operations in one revision.

The operations are in `upgrade_ops` together with Alembic's own, so that `alembic check` reports them,
`process_revision_directives` and `Rewriter` can change them, and `reverse()` returns the downgrade. A revision contains
them as plain SQL. The order in an upgrade is as follows; a downgrade has the exact reverse order:

1. Drop dependents of tables: grants, triggers, policies, row-level security (RLS), functions that name tables.
2. Create extensions, roles and functions.
3. Create, change and drop tables, as Alembic compares them; drop each table after the tables that reference it.
4. Create dependents of tables: functions that name tables, row-level security (RLS), policies, triggers, grants.
5. Drop functions.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from alembic.operations import Operations, ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import text

from dbschema.autogenerate.text import escaped, without_tabs
from dbschema.ddl.base import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dbschema.ddl.base import DatabaseObject
    from dbschema.sql import Identity

    TableKey: TypeAlias = tuple[str | None, str]


class ObjectOp(MigrateOperation):
    """Base class of the operations on declared objects.

    Args:
        before: the object as the database has it; None if it is missing.
        after: the object as the models declare it; None if it is not declared.
    """

    verb: ClassVar[str]

    def __init__(self, before: DatabaseObject | None, after: DatabaseObject | None) -> None:
        self.before = before
        self.after = after

    @property
    def object(self) -> DatabaseObject:
        """The object after the operation; for a drop, the object before it."""
        chosen = self.after or self.before
        if chosen is None:
            raise TypeError(f"{type(self).__name__} needs an object")
        return chosen

    @property
    def identity(self) -> Identity:
        """The identity of the object."""
        return self.object.identity

    @property
    def position(self) -> int:
        """The position in the revision, by which `arrange` sorts; tables have `Phase.TABLE`."""
        return int(self.object.order)

    @property
    def statements(self) -> tuple[str, ...]:
        """The SQL of the operation, as the server receives it."""
        return tuple(
            without_tabs(statement, getattr(item, "body", None)) for item, statement in self._statements()
        )

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        raise NotImplementedError

    def reverse(self) -> ObjectOp:
        """Return the operation that undoes this one."""
        raise NotImplementedError

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the operation as `alembic check` prints it: verb and kind, name, table, schema."""
        identity = self.identity
        kind = re.sub(r"\W", "_", identity.kind)
        table = () if identity.table in {"", identity.name} else (identity.table,)
        schema = () if identity.schema is None else (identity.schema,)
        return (f"{self.verb}_{kind}", identity.name, *table, *schema)


class CreateObjectOp(ObjectOp):
    """Create an object that is only expected."""

    verb = "add"

    def __init__(self, after: DatabaseObject) -> None:
        super().__init__(None, after)

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        return ((self.object, statement) for statement in self.object.create())

    def reverse(self) -> DropObjectOp:
        """Return the operation that undoes this one."""
        return DropObjectOp(self.object)


class DropObjectOp(ObjectOp):
    """Drop an object that is only actual, or that the same revision creates again.

    Args:
        before: the object.
        recreated: the same revision creates the object again, so the drop comes before that, not last.
    """

    verb = "remove"

    def __init__(self, before: DatabaseObject, *, recreated: bool = False) -> None:
        super().__init__(before, None)
        self.recreated = recreated

    @property
    def position(self) -> int:
        """The position in the revision, by which `arrange` sorts; tables have `Phase.TABLE`."""
        order = self.object.order
        # Dependents of tables are dropped before tables, functions last: defaults and CHECKs may call them.
        return -int(order) if order > Phase.TABLE or self.recreated else int(Phase.GRANT) + int(order)

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        return ((self.object, statement) for statement in self.object.drop())

    def reverse(self) -> CreateObjectOp:
        """Return the operation that undoes this one."""
        return CreateObjectOp(self.object)


class AlterObjectOp(ObjectOp):
    """Change an object that differs, without a drop.

    Args:
        before, after: the object before and after the operation.
        forward, backward: the statements of the upgrade and of the downgrade.
        details: by attribute, the actual and the expected value, as the server prints them.
    """

    verb = "modify"

    def __init__(
        self,
        before: DatabaseObject,
        after: DatabaseObject,
        forward: Iterable[str],
        backward: Iterable[str],
        details: Mapping[str, tuple[Any, Any]],
    ) -> None:
        super().__init__(before, after)
        self.forward = tuple(forward)
        self.backward = tuple(backward)
        self.details = dict(details)

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        return ((self.object, statement) for statement in self.forward)

    def reverse(self) -> AlterObjectOp:
        """Return the operation that undoes this one."""
        if self.before is None or self.after is None:
            raise TypeError("AlterObjectOp needs both objects")
        details = {name: (expected, actual) for name, (actual, expected) in self.details.items()}
        return AlterObjectOp(self.after, self.before, self.backward, self.forward, details)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the operation as Alembic's tuple, for a report."""
        return (*super().to_diff_tuple(), self.details)


@Operations.implementation_for(ObjectOp)
def _run(operations: Operations, operation: ObjectOp) -> None:
    """Execute the statements, for callers that invoke operations without a revision."""
    for statement in operation.statements:
        operations.execute(text(escaped(statement)))


_DROPPED_TABLE = int(Phase.TABLE) + 5


def arrange(upgrade_ops: ops.UpgradeOps) -> None:
    """Sort the operations in place; the sort is stable."""
    dropped = {_key(op): op for op in upgrade_ops.ops if isinstance(op, ops.DropTableOp)}
    places = {key: place for place, key in enumerate(_children_first(dropped))}

    def position(op: ops.MigrateOperation) -> tuple[int, int]:
        if isinstance(op, ObjectOp):
            return op.position, 0
        if isinstance(op, ops.DropTableOp | ops.ModifyTableOps) and _key(op) in places:
            # Together with its indexes. Alembic drops tables before the foreign keys of other tables that reference them.
            return _DROPPED_TABLE, places[_key(op)]
        return int(Phase.TABLE), 0

    upgrade_ops.ops.sort(key=position)


def _key(op: ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)


def _children_first(dropped: dict[TableKey, ops.DropTableOp]) -> Sequence[TableKey]:
    """Return the dropped tables, each before the tables that it references, otherwise by name."""
    graph: TopologicalSorter[TableKey] = TopologicalSorter()
    ordered = sorted(dropped, key=lambda key: (key[0] or "", key[1]))
    for key in ordered:
        graph.add(key)
    for key in ordered:
        for constraint in dropped[key].to_table().foreign_key_constraints:
            schema, _, name = constraint.elements[0].target_fullname.rpartition(".")[0].rpartition(".")
            parent = (schema or None, name)
            if parent in dropped and parent != key:
                graph.add(parent, key)
    try:
        return tuple(graph.static_order())
    except CycleError:
        return ordered
