"""Operations that are SQL, and the block in which each statement commits by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp, MigrateOperation
from sqlalchemy import text

from dbschema.autogenerate.text import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable


class StatementsOp(MigrateOperation):
    """SQL, and what takes it back.

    Args:
        forward, backward: the statements of either way; none: there is nothing to do.
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
    """An index that should be there, and that its way back leaves alone.

    Args:
        index: which.
    """

    def __init__(self, index: CreateIndexOp) -> None:
        self.__dict__.update(index.__dict__, if_not_exists=True)

    def reverse(self) -> StatementsOp:  # type: ignore[override]  # it has nothing to take back
        """Return the operation that undoes this one."""
        return StatementsOp(())


class AutocommitOp(MigrateOperation):
    """Operations outside of a transaction, each of which commits by itself; together they bear being run again.

    Args:
        ops: the operations.
    """

    def __init__(self, ops: Iterable[MigrateOperation]) -> None:
        self.ops = list(ops)


class NoteOp(MigrateOperation):
    """A remark for whoever reads the revision.

    Args:
        words: one paragraph.
    """

    def __init__(self, words: str) -> None:
        self.words = words


@Operations.implementation_for(NoteOp)
def _say_nothing(_: Operations, __: NoteOp) -> None:
    """For whoever invokes operations without writing a revision."""


@Operations.implementation_for(StatementsOp)
def _run(operations: Operations, operation: StatementsOp) -> None:
    """For whoever invokes operations without writing a revision."""
    for statement in operation.statements:
        operations.execute(text(escaped(statement)))


@Operations.implementation_for(AutocommitOp)
def _run_outside(operations: Operations, operation: AutocommitOp) -> None:
    with operations.get_context().autocommit_block():
        for each in operation.ops:
            operations.invoke(each)
