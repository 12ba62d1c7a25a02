"""The statements of each form that stalls nobody: of indexes, unique constraints, foreign keys, checks and NOT NULL.

What is said to be outside of a transaction bears being run again, whatever a run that was killed has left.
"""

from __future__ import annotations

from copy import copy
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from alembic.operations import ops
from sqlalchemy.dialects import postgresql

from dbschema.autogenerate.statements import StatementsOp
from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from sqlalchemy import Constraint

_DIALECT: Final = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # one that writes a percent sign once
_LONGEST_NAME: Final = 63


class NotNull:
    """The statements that make a column NOT NULL by a check.

    Args:
        schema, table, column: which column.
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
        leaving = f"DROP CONSTRAINT IF EXISTS {name}"
        self.again = (f"{place} {leaving}, {check}", self.validate, self.set, f"{place} {leaving}")
        """Outside of a transaction, whatever a run that was killed has left."""


def built(op: ops.CreateIndexOp) -> list[ops.MigrateOperation]:
    """An index, whatever a run that was killed has left of it."""
    building = copy(op)
    building.kw = {**op.kw, "postgresql_concurrently": True}
    return [dropped(op), building]


def dropped(op: ops.CreateIndexOp) -> ops.DropIndexOp:
    """Return the operation that drops an index, CONCURRENTLY and only if it exists."""
    return ops.DropIndexOp(
        str(op.index_name),
        str(op.table_name),
        schema=op.schema,
        if_exists=True,
        postgresql_concurrently=True,
    )


def unique_by_index(op: ops.CreateUniqueConstraintOp, index: str) -> tuple[ops.CreateIndexOp, str]:
    """The index of a unique constraint, and what in an ALTER TABLE makes it the constraint."""
    constraint = op.to_constraint()
    columns = [column.name for column in constraint.columns]
    options = {key: value for key, value in constraint.dialect_kwargs.items() if value not in (None, ())}
    creating = ops.CreateIndexOp(index, op.table_name, columns, schema=op.schema, unique=True, **options)
    deferred = _compiler().define_constraint_deferrability(constraint)
    name = quote(str(op.constraint_name))
    return creating, f"ADD CONSTRAINT {name} UNIQUE USING INDEX {quote(index)}{deferred}"


def established(op: ops.AddConstraintOp) -> list[ops.MigrateOperation]:
    """A constraint, outside of a transaction, whatever a run that was killed has left of it."""
    constraint = op.to_constraint()
    table, name = table_of(constraint), quote(str(constraint.name))
    leaving = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    if isinstance(op, ops.CreateUniqueConstraintOp):
        index, attaching = unique_by_index(op, named(str(constraint.name), "next"))
        return [*built(index), StatementsOp([f"{leaving}, {attaching}"])]
    validating = [f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"] if is_valid(constraint) else []
    return [StatementsOp([f"{leaving}, ADD {not_valid(constraint)}", *validating])]


def is_valid(constraint: Constraint) -> bool:
    """Whether the models want it to hold for old rows, too."""
    return not constraint.dialect_options["postgresql"].get("not_valid")


def adding(constraint: Constraint) -> str:
    """The statement that adds it, as the models want it."""
    return f"ALTER TABLE {table_of(constraint)} ADD {_compiler().process(constraint)}"


def not_valid(constraint: Constraint) -> str:
    """What in an ALTER TABLE follows ADD, so that old rows are not looked at."""
    constraint.dialect_options["postgresql"]["not_valid"] = True
    return str(_compiler().process(constraint))


def _compiler() -> Any:
    return _DIALECT.ddl_compiler(_DIALECT, None)  # type: ignore[arg-type]  # it compiles pieces of statements


def table_of(constraint: Constraint) -> str:
    """Return the table of a constraint, as SQL."""
    return qualified(constraint.table.schema, constraint.table.name)


def named(name: str, suffix: str) -> str:
    """A name for what does not stay, made from another one."""
    long = f"{name}_{suffix}"
    if len(long.encode()) <= _LONGEST_NAME:
        return long
    digest = sha256(name.encode()).hexdigest()[:8]
    room = _LONGEST_NAME - len(f"_{digest}_{suffix}")
    return f"{name.encode()[:room].decode(errors='ignore')}_{digest}_{suffix}"
