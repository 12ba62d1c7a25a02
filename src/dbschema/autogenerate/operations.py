"""What autogenerate has found out about one of our objects, as operations of Alembic's.

They stand in `upgrade_ops` beside Alembic's own, so that `alembic check` reports them, `process_revision_directives` and
`Rewriter` can change them, and `reverse()` gives the downgrade. In a revision they are plain SQL.

The order of the steps in one revision; the downgrade is its exact mirror.

1. What stands on tables and goes: grants, triggers, policies, row security, functions that speak of tables.
2. Extensions, roles, functions.
3. Tables, as Alembic compares them: new ones, changed ones, then those that go, each after what points to it.
4. What stands on tables and comes: functions that speak of tables, row security, policies, triggers, grants.
5. Functions that go.
"""

from __future__ import annotations

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
    """Root of the operations on our objects.

    Args:
        before: the object as the database has it; None where it has none.
        after: the object as the models declare it; None where they do not.
    """

    verb: ClassVar[str]

    def __init__(self, before: DatabaseObject | None, after: DatabaseObject | None) -> None:
        self.before = before
        self.after = after

    @property
    def object(self) -> DatabaseObject:
        """The object as it will be; where it goes, as it was."""
        chosen = self.after or self.before
        if chosen is None:
            raise TypeError(f"{type(self).__name__} needs an object")
        return chosen

    @property
    def identity(self) -> Identity:
        """Which object this is about."""
        return self.object.identity

    @property
    def position(self) -> int:
        """Its place among the steps of a revision, as `order.arrange` sorts them; tables stand at `Phase.TABLE`."""
        return int(self.object.order)

    @property
    def statements(self) -> tuple[str, ...]:
        """The SQL that it stands for, as it reaches the server."""
        return tuple(
            without_tabs(statement, getattr(item, "body", None)) for item, statement in self._statements()
        )

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        raise NotImplementedError

    def reverse(self) -> ObjectOp:
        """Return the operation that undoes this one."""
        raise NotImplementedError

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """As `alembic check` prints it: what is to be done, to what, on which table."""
        identity = self.identity
        kind = identity.kind.replace(" ", "_")
        table = () if identity.table in {"", identity.name} else (identity.table,)
        schema = () if identity.schema is None else (identity.schema,)
        return (f"{self.verb}_{kind}", identity.name, *table, *schema)


class CreateObjectOp(ObjectOp):
    """An object that the models declare and the database lacks."""

    verb = "add"

    def __init__(self, after: DatabaseObject) -> None:
        super().__init__(None, after)

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        return ((self.object, statement) for statement in self.object.create())

    def reverse(self) -> DropObjectOp:
        """Return the operation that undoes this one."""
        return DropObjectOp(self.object)


class DropObjectOp(ObjectOp):
    """An object that the database has and the models do not declare, or that has to make way for a moment.

    Args:
        before: the object.
        returns: it is created anew in the same revision, so that it goes before that instead of last of all.
    """

    verb = "remove"

    def __init__(self, before: DatabaseObject, *, recreated: bool = False) -> None:
        super().__init__(before, None)
        self.recreated = recreated

    @property
    def position(self) -> int:
        """The place of the operation in the revision; tables are at 0."""
        order = self.object.order
        # What stands on tables goes before them; a function goes last of all, as defaults and CHECKs may call it.
        return -int(order) if order > Phase.TABLE or self.recreated else int(Phase.GRANT) + int(order)

    def _statements(self) -> Iterable[tuple[DatabaseObject, str]]:
        return ((self.object, statement) for statement in self.object.drop())

    def reverse(self) -> CreateObjectOp:
        """Return the operation that undoes this one."""
        return CreateObjectOp(self.object)


class AlterObjectOp(ObjectOp):
    """An object that the database has otherwise than the models declare, and that can be changed in its place.

    Args:
        before, after: the object as it is and as it will be.
        forward, backward: the statements that change it, and that change it back.
        details: by attribute, what the database has and what is wanted, as the server prints them.
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
    """For whoever invokes operations without writing a revision."""
    for statement in operation.statements:
        operations.execute(text(escaped(statement)))


_DROPPED_TABLE = int(Phase.TABLE) + 5


def arrange(upgrade_ops: ops.UpgradeOps) -> None:
    """Sort the operations in place; those of the same rank keep their order."""
    dropped = {_key(op): op for op in upgrade_ops.ops if isinstance(op, ops.DropTableOp)}
    places = {key: place for place, key in enumerate(_children_first(dropped))}

    def position(op: ops.MigrateOperation) -> tuple[int, int]:
        if isinstance(op, ObjectOp):
            return op.position, 0
        if isinstance(op, ops.DropTableOp | ops.ModifyTableOps) and _key(op) in places:
            # Its indexes with it. Alembic drops tables before it drops what points to them from others.
            return _DROPPED_TABLE, places[_key(op)]
        return int(Phase.TABLE), 0

    upgrade_ops.ops.sort(key=position)


def _key(op: ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)


def _children_first(dropped: dict[TableKey, ops.DropTableOp]) -> Sequence[TableKey]:
    """The tables that go, each before those that it points to; in the order of their names where that is free."""
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
