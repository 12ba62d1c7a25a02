"""The order of the steps in one revision; the downgrade is its exact mirror.

1. What stands on tables and goes: grants, triggers, policies, row security, functions that speak of tables.
2. Extensions, roles, functions.
3. Tables, as Alembic compares them: new ones, changed ones, then those that go, each after what points to it.
4. What stands on tables and comes: functions that speak of tables, row security, policies, triggers, grants.
5. Functions that go.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from alembic.operations import ops

from dbschema.autogenerate.operations import ObjectOp
from dbschema.ddl.base import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    TableKey: TypeAlias = tuple[str | None, str]

_GOING_TABLE = int(Phase.TABLE) + 5


def arrange(upgrade_ops: ops.UpgradeOps) -> None:
    """Sort the operations in place; those of the same rank keep their order."""
    going = {_key(op): op for op in upgrade_ops.ops if isinstance(op, ops.DropTableOp)}
    places = {key: place for place, key in enumerate(_children_first(going))}

    def position(op: ops.MigrateOperation) -> tuple[int, int]:
        if isinstance(op, ObjectOp):
            return op.position, 0
        if isinstance(op, ops.DropTableOp | ops.ModifyTableOps) and _key(op) in places:
            # Its indexes with it. Alembic drops tables before it drops what points to them from others.
            return _GOING_TABLE, places[_key(op)]
        return int(Phase.TABLE), 0

    upgrade_ops.ops.sort(key=position)


def _key(op: ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)


def _children_first(going: dict[TableKey, ops.DropTableOp]) -> Sequence[TableKey]:
    """The tables that go, each before those that it points to; in the order of their names where that is free."""
    graph: TopologicalSorter[TableKey] = TopologicalSorter()
    ordered = sorted(going, key=lambda key: (key[0] or "", key[1]))
    for key in ordered:
        graph.add(key)
    for key in ordered:
        for constraint in going[key].to_table().foreign_key_constraints:
            schema, _, name = constraint.elements[0].target_fullname.rpartition(".")[0].rpartition(".")
            parent = (schema or None, name)
            if parent in going and parent != key:
                graph.add(parent, key)
    try:
        return tuple(graph.static_order())
    except CycleError:
        return ordered
