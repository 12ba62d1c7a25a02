"""Notes on changes that need more than a revision can know: those that rewrite a table, and columns without a value.

Whether a table is written anew, while nobody reads or writes it, is asked of PostgreSQL, on an empty copy.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dbschema.autogenerate.statements import NoteOp
from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    Change = ops.AddColumnOp | ops.AlterColumnOp

_COPY: Final = "dbschema_rewritten"
_FILE: Final = text(f"SELECT pg_catalog.pg_relation_filenode('pg_temp.{_COPY}'::pg_catalog.regclass)")
_REWRITTEN: Final = (
    "PostgreSQL writes {table} anew for the next step: nobody reads or writes it until the revision is done. A table"
    " that is large and in use wants several steps: see docs/live-tables.md"
)
_WITHOUT_VALUE: Final = (
    "This fails where {table} has rows, for which the column has no value. Give it a default, or let it be NULL until"
    " a later revision: see docs/live-tables.md"
)


def noted(connection: Connection, operations: Iterable[Any]) -> list[Any]:
    """The operations, and before each that rewrites a table, or fails where it has rows, a note that says so.

    Args:
        connection: to the database that was compared; what is tried there is rolled back.
        operations: those of an upgrade or of a downgrade, or of one table.
    """
    found: list[Any] = []
    for op in operations:
        if isinstance(op, ops.ModifyTableOps):
            table = ops.ModifyTableOps(op.table_name, noted(connection, op.ops), schema=op.schema)
            found.append(table)
            continue
        if _has_no_value(op):
            found.append(NoteOp(_WITHOUT_VALUE.format(table=qualified(op.schema, op.table_name))))
        elif _may_rewrite(op) and _rewrites(connection, op):
            found.append(NoteOp(_REWRITTEN.format(table=qualified(op.schema, op.table_name))))
        found.append(op)
    return found


def _has_no_value(op: Any) -> bool:
    return isinstance(op, ops.AddColumnOp) and not op.column.nullable and not _has_default(op)


def _has_default(op: ops.AddColumnOp) -> bool:
    column = op.column
    return column.server_default is not None or column.computed is not None or column.identity is not None


def _may_rewrite(op: Any) -> TypeGuard[Change]:
    if isinstance(op, ops.AddColumnOp):
        return _has_default(op)
    return isinstance(op, ops.AlterColumnOp) and op.modify_type is not None


def _rewrites(connection: Connection, op: Change) -> bool:
    """False, too, where the copy cannot be made or changed: then the revision itself will say why."""
    there = copy(op)
    there.table_name, there.schema = _COPY, "pg_temp"
    savepoint = connection.begin_nested()
    try:
        connection.execute(
            text(f"CREATE TEMPORARY TABLE {quote(_COPY)} (LIKE {qualified(op.schema, op.table_name)})")
        )
        before = connection.scalar(_FILE)
        Operations(MigrationContext.configure(connection)).invoke(there)
        return bool(connection.scalar(_FILE) != before)
    except SQLAlchemyError:
        return False
    finally:
        savepoint.rollback()
