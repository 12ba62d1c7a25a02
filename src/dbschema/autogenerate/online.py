"""Split a change into revisions that do not block reads and writes of existing tables (online DDL).

An index is built CONCURRENTLY. A foreign key or check is added NOT VALID and validated later. A check proves NOT NULL
before it is set. A unique constraint uses an index that was built before. Each step needs a transaction of its own, and
so a revision, in this order:

1. Drop constraints, indexes and NOT NULL first. The upgrade is a plain DROP; the downgrade recreates them outside a
   transaction so that it does not block.
2. Make all other changes, and add constraints NOT VALID.
3. Build each index outside a transaction, after the removal of an index that an interrupted run has left.
4. Add unique constraints by their indexes, and the foreign keys that reference their tables.
5. Validate the constraints.
6. Set NOT NULL, which the valid check proves.

New tables are left out: they have no rows to read.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard

from alembic.operations import ops

from dbschema.autogenerate.online_ddl import (
    AutocommitOp,
    IfMissingOp,
    NotNull,
    StatementsOp,
    create_index,
    drop_index,
    is_valid,
    named,
    not_valid,
    restore_constraint,
    table_of,
    unique_using_index,
)
from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from sqlalchemy import Index

    Operation: TypeAlias = ops.MigrateOperation
    TableKey: TypeAlias = tuple[str | None, str]

_BLOCKING_TO_RECREATE: Final = ("foreignkey", "unique", "check")
"""Types of constraints whose creation in the downgrade blocks the table."""
_INDEX_OPS: Final = (ops.CreateIndexOp, ops.DropIndexOp)


@dataclass
class Part:
    """One revision of several.

    Args:
        title: added to the message of the developer; empty for the main revision.
        up, down: the operations of the upgrade and of the downgrade.
    """

    title: str
    up: list[Operation] = field(default_factory=list)
    down: list[Operation] = field(default_factory=list)


def parts(upgrade_ops: ops.UpgradeOps, skip: Container[TableKey] = ()) -> list[Part]:
    """Split `upgrade_ops` into revisions, in order.

    Args:
        upgrade_ops: the operations of one revision; not modified.
        skip: tables whose changes are not split.
    """
    return _Split(upgrade_ops, skip).parts()


class _Split:
    def __init__(self, upgrade_ops: ops.UpgradeOps, skip: Container[TableKey]) -> None:
        self._ops, self._skip = upgrade_ops.ops, skip
        self._empty = {_key(op) for op in self._ops if isinstance(op, ops.CreateTableOp | ops.DropTableOp)}
        self._drops: list[tuple[Operation, list[Operation]]] = []
        self._main = Part("")
        self._indexes: list[Part] = []
        self._attached = Part("unique constraints")
        self._foreign_keys: list[Operation] = []
        self._validated = Part("validation")
        self._not_null = Part("not null")
        # Tables with a new unique index or constraint, which a new foreign key may need.
        self._unique = {
            _key(table)
            for table in self._ops
            if self._is_online(table)
            for op in table.ops
            if isinstance(op, ops.CreateUniqueConstraintOp)
            or (isinstance(op, ops.CreateIndexOp) and op.unique)
        }

    def parts(self) -> list[Part]:
        for op in self._ops:
            if not self._is_online(op):
                self._main.up.append(op)
                continue
            replaced = _replaced(op)
            self._indexes += [_exchange(*pair) for pair in replaced.values()]
            rest = [
                remaining
                for change in op.ops
                if not (isinstance(change, _INDEX_OPS) and change.index_name in replaced)
                for remaining in self._sorted(change)
            ]
            if rest:
                self._main.up.append(ops.ModifyTableOps(op.table_name, rest, schema=op.schema))
        self._attached.up += self._foreign_keys
        for part in (self._main, self._attached, self._validated, self._not_null):
            part.down = [op.reverse() for op in reversed(part.up)]
        ordered = (
            self._drop_part(),
            self._main,
            *self._indexes,
            self._attached,
            self._validated,
            self._not_null,
        )
        return [part for part in ordered if part.up]

    def _is_online(self, op: Operation) -> TypeGuard[ops.ModifyTableOps]:
        return (
            isinstance(op, ops.ModifyTableOps) and _key(op) not in self._empty and _key(op) not in self._skip
        )

    def _drop_part(self) -> Part:
        # Foreign keys first: they prevent the drop of the keys that they reference.
        self._drops.sort(key=lambda pair: getattr(pair[0], "constraint_type", "") != "foreignkey")
        downgrade = [op for _, downgrade in reversed(self._drops) for op in downgrade]
        return Part("removals", [op for op, _ in self._drops], [AutocommitOp(downgrade)])

    def _sorted(self, op: Operation) -> Iterator[Operation]:
        """Assign `op` to its revision; yield the operations for the main revision."""
        name = getattr(op, "constraint_name", None) or getattr(op, "index_name", None)
        if isinstance(op, ops.AlterColumnOp) and op.modify_nullable is not None:
            yield from self._alter_nullable(op)
        elif name is None:
            yield op
        elif isinstance(op, ops.CreateIndexOp):
            self._indexes.append(_index(op))
        elif isinstance(op, ops.DropIndexOp):
            self._drops.append((op, create_index(op.reverse())))
        elif isinstance(op, ops.CreateUniqueConstraintOp):
            self._add_unique(op)
        elif isinstance(op, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
            yield from self._add_not_valid(op)
        elif isinstance(op, ops.DropConstraintOp) and op.constraint_type in _BLOCKING_TO_RECREATE:
            self._drops.append((op, restore_constraint(op.reverse())))
        else:
            yield op

    def _add_unique(self, op: ops.CreateUniqueConstraintOp) -> None:
        index, attaching = unique_using_index(op, str(op.constraint_name))
        self._indexes.append(_index(index))
        table = qualified(op.schema, str(op.table_name))
        dropping = f"ALTER TABLE {table} DROP CONSTRAINT {quote(str(op.constraint_name))}"
        # The index exists, unless an interrupted downgrade has dropped it with the constraint.
        self._attached.up.append(IfMissingOp(index))
        self._attached.up.append(StatementsOp([f"ALTER TABLE {table} {attaching}"], [dropping]))

    def _add_not_valid(self, op: ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp) -> Iterator[Operation]:
        constraint = op.to_constraint()
        table, name, validate = table_of(constraint), quote(str(op.constraint_name)), is_valid(constraint)
        adding = f"ALTER TABLE {table} ADD {not_valid(constraint)}"
        added = StatementsOp([adding], [f"ALTER TABLE {table} DROP CONSTRAINT {name}"])
        if validate:
            self._validated.up.append(StatementsOp([f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"]))
        if (
            isinstance(op, ops.CreateForeignKeyOp)
            and (op.kw.get("referent_schema"), op.referent_table) in self._unique
        ):
            self._foreign_keys.append(added)
        else:
            yield added

    def _alter_nullable(self, op: ops.AlterColumnOp) -> Iterator[Operation]:
        nullable, rest = copy(op), copy(op)
        nullable.modify_type, nullable.modify_server_default, nullable.modify_comment = None, False, False
        rest.modify_nullable = None
        column = NotNull(op.schema, op.table_name, op.column_name)
        if op.modify_nullable:
            self._drops.append((nullable, [StatementsOp(column.restore)]))
        else:
            yield StatementsOp([column.add], [column.drop])
            self._validated.up.append(StatementsOp([column.validate]))
            # Already valid, so no rows are read, unless a downgrade was interrupted.
            forward = [column.validate, column.set, column.drop]
            self._not_null.up.append(StatementsOp(forward, [column.unset, column.add]))
        if rest.has_changes():
            yield rest


def _replaced(table: ops.ModifyTableOps) -> dict[str, tuple[ops.CreateIndexOp, ops.CreateIndexOp]]:
    """Return the changed indexes by name, before and after; without indexes of dropped columns."""
    columns = {op.column_name for op in table.ops if isinstance(op, ops.DropColumnOp)}
    created = {op.index_name: op for op in table.ops if isinstance(op, ops.CreateIndexOp)}
    replaced = {}
    for op in table.ops:
        if isinstance(op, ops.DropIndexOp) and op.index_name in created:
            before = op.reverse()
            if not columns & _words(before.to_index()):
                replaced[str(op.index_name)] = before, created[op.index_name]
    return replaced


def _words(index: Index) -> set[str]:
    conditions = index.dialect_options["postgresql"].values()
    return set(re.findall(r"\w+", " ".join(map(str, (*index.expressions, *conditions)))))


def _index(op: ops.CreateIndexOp) -> Part:
    building = create_index(op)
    return Part(f"index {op.index_name}", [AutocommitOp(building)], [AutocommitOp(building[:1])])


def _exchange(before: ops.CreateIndexOp, after: ops.CreateIndexOp) -> Part:
    """Replace an index with another one of the same name; the old one is used until the new one is built."""

    def by(op: ops.CreateIndexOp) -> AutocommitOp:
        replacement = copy(op)
        replacement.index_name = named(str(op.index_name), "next")
        renaming = f"ALTER INDEX {qualified(op.schema, replacement.index_name)} RENAME TO {quote(str(op.index_name))}"
        return AutocommitOp([*create_index(replacement), drop_index(op), StatementsOp([renaming])])

    return Part(f"index {after.index_name}", [by(after)], [by(before)])


def _key(op: ops.CreateTableOp | ops.DropTableOp | ops.ModifyTableOps) -> TableKey:
    return op.schema, str(op.table_name)
