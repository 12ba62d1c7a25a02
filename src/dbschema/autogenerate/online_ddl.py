"""Operations and statements of online DDL: indexes, unique constraints, foreign keys, checks and NOT NULL.

Statements outside a transaction are idempotent: they can run again after an interrupted run.
"""

from __future__ import annotations

from copy import copy
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

from alembic.operations import Operations, ops
from alembic.operations.ops import CreateIndexOp, MigrateOperation
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from dbschema.autogenerate.text import escaped
from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Constraint


class StatementsOp(MigrateOperation):
    """Execute SQL.

    Args:
        forward, backward: the statements of the operation and of its reverse; may be empty.
    """

    def __init__(self, forward: Iterable[str], backward: Iterable[str] = ()) -> None:
        self.statements, self.backward = tuple(forward), tuple(backward)

    def reverse(self) -> Self:
        """Return the operation that undoes this one."""
        return type(self)(self.backward, self.statements)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return the operation as Alembic's tuple, for a report."""
        return ("execute", *self.statements)


class IfMissingOp(CreateIndexOp):
    """Create an index if it is missing. The reverse operation does nothing.

    Args:
        index: the operation that creates the index.
    """

    def __init__(self, index: CreateIndexOp) -> None:
        self.__dict__.update(index.__dict__, if_not_exists=True)

    def reverse(self) -> StatementsOp:  # type: ignore[override]  # its reverse does nothing
        """Return the operation that undoes this one."""
        return StatementsOp(())


class AutocommitOp(MigrateOperation):
    """Execute operations outside a transaction: each commits separately, and all together are idempotent.

    Args:
        ops: the operations.
    """

    def __init__(self, ops: Iterable[MigrateOperation]) -> None:
        self.ops = list(ops)


class NoteOp(MigrateOperation):
    """Write a comment into the revision.

    Args:
        text: one paragraph.
    """

    def __init__(self, text: str) -> None:
        self.text = text


@Operations.implementation_for(NoteOp)
def _skip_note(_: Operations, __: NoteOp) -> None:
    """Do nothing: a comment has no statement."""


@Operations.implementation_for(StatementsOp)
def _run(operations: Operations, operation: StatementsOp) -> None:
    """Execute the statements, for callers that invoke operations without a revision."""
    for statement in operation.statements:
        operations.execute(text(escaped(statement)))


@Operations.implementation_for(AutocommitOp)
def _run_outside(operations: Operations, operation: AutocommitOp) -> None:
    with operations.get_context().autocommit_block():
        for each in operation.ops:
            operations.invoke(each)


_DIALECT: Final = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # writes a percent sign once
_LONGEST_NAME: Final = 63


class NotNull:
    """The statements that make a column NOT NULL with the proof of a check.

    Args:
        schema, table, column: names of the column, its table and its schema.
    """

    def __init__(self, schema: str | None, table: str, column: str) -> None:
        place, quoted = f"ALTER TABLE {qualified(schema, table)}", quote(column)
        name = quote(named(f"ck_{table}_{column}", "is_not_null"))
        check = f"ADD CONSTRAINT {name} CHECK ({quoted} IS NOT NULL) NOT VALID"
        self.add = f"{place} {check}"
        self.validate = f"{place} VALIDATE CONSTRAINT {name}"
        self.set = f"{place} ALTER COLUMN {quoted} SET NOT NULL"
        self.unset = f"{place} ALTER COLUMN {quoted} DROP NOT NULL"
        self.drop = f"{place} DROP CONSTRAINT {name}"
        dropping = f"DROP CONSTRAINT IF EXISTS {name}"
        self.restore = (f"{place} {dropping}, {check}", self.validate, self.set, f"{place} {dropping}")
        """The statements for a downgrade outside a transaction; idempotent."""


def create_index(op: ops.CreateIndexOp) -> list[ops.MigrateOperation]:
    """Return the operations that build an index CONCURRENTLY, after a drop of what an interrupted run has left."""
    building = copy(op)
    building.kw = {**op.kw, "postgresql_concurrently": True}
    return [drop_index(op), building]


def drop_index(op: ops.CreateIndexOp) -> ops.DropIndexOp:
    """Return the operation that drops an index, CONCURRENTLY and only if it exists."""
    return ops.DropIndexOp(
        str(op.index_name),
        str(op.table_name),
        schema=op.schema,
        if_exists=True,
        postgresql_concurrently=True,
    )


def unique_using_index(op: ops.CreateUniqueConstraintOp, index: str) -> tuple[ops.CreateIndexOp, str]:
    """Return the operation for the index of a unique constraint, and the clause of ALTER TABLE that adds the constraint."""
    constraint = op.to_constraint()
    columns = [column.name for column in constraint.columns]
    options = {key: value for key, value in constraint.dialect_kwargs.items() if value not in (None, ())}
    creating = ops.CreateIndexOp(index, op.table_name, columns, schema=op.schema, unique=True, **options)
    deferred = _compiler().define_constraint_deferrability(constraint)
    name = quote(str(op.constraint_name))
    return creating, f"ADD CONSTRAINT {name} UNIQUE USING INDEX {quote(index)}{deferred}"


def restore_constraint(op: ops.AddConstraintOp) -> list[ops.MigrateOperation]:
    """Return the operations that add a constraint outside a transaction; idempotent."""
    constraint = op.to_constraint()
    table, name = table_of(constraint), quote(str(constraint.name))
    dropping = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    if isinstance(op, ops.CreateUniqueConstraintOp):
        index, attaching = unique_using_index(op, named(str(constraint.name), "next"))
        return [*create_index(index), StatementsOp([f"{dropping}, {attaching}"])]
    validating = [f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"] if is_valid(constraint) else []
    return [StatementsOp([f"{dropping}, ADD {not_valid(constraint)}", *validating])]


def is_valid(constraint: Constraint) -> bool:
    """Whether the models declare the constraint as valid for existing rows."""
    return not constraint.dialect_options["postgresql"].get("not_valid")


def add_constraint(constraint: Constraint) -> str:
    """Return the statement that adds the constraint as declared."""
    return f"ALTER TABLE {table_of(constraint)} ADD {_compiler().process(constraint)}"


def not_valid(constraint: Constraint) -> str:
    """Return the clause after ADD in ALTER TABLE, with NOT VALID: existing rows are not checked."""
    constraint.dialect_options["postgresql"]["not_valid"] = True
    return str(_compiler().process(constraint))


def _compiler() -> Any:
    return _DIALECT.ddl_compiler(_DIALECT, None)  # type: ignore[arg-type]  # compiles parts of statements


def table_of(constraint: Constraint) -> str:
    """Return the table of a constraint, as SQL."""
    return qualified(constraint.table.schema, constraint.table.name)


def named(name: str, suffix: str) -> str:
    """Return a name with a suffix, for a temporary index or constraint; at most 63 bytes."""
    long = f"{name}_{suffix}"
    if len(long.encode()) <= _LONGEST_NAME:
        return long
    digest = sha256(name.encode()).hexdigest()[:8]
    room = _LONGEST_NAME - len(f"_{digest}_{suffix}")
    return f"{name.encode()[:room].decode(errors='ignore')}_{digest}_{suffix}"
