"""Write one run of autogenerate as several non-blocking revisions, with notes on changes that block or fail.

The notes mark changes that rewrite a table, and new NOT NULL columns without a default. To find out whether a change
rewrites the table, it is executed on an empty temporary copy.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from alembic.util import rev_id
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dbschema.autogenerate.online import parts
from dbschema.autogenerate.online_ddl import NoteOp
from dbschema.ddl.base import qualified, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from dbschema.autogenerate.online import Part, TableKey

    Change = ops.AddColumnOp | ops.AlterColumnOp


# Partitioned tables: no index CONCURRENTLY, and before PostgreSQL 18 no NOT VALID for foreign keys.
_PARTITIONED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'p'
"""


class _LastRevision(ops.UpgradeOps):
    """The upgrade of the last of several revisions. It reports the differences of the whole run to `alembic check`.

    Args:
        operations: its own operations.
        operations_found: the operations of the whole run.
        upgrade_token: the token of Alembic's template.
    """

    def __init__(
        self, operations: Iterable[Any], operations_found: ops.UpgradeOps, upgrade_token: str
    ) -> None:
        super().__init__(list(operations), upgrade_token)
        self._found = operations_found

    def as_diffs(self) -> Any:
        return self._found.as_diffs()


def write_online(
    context: MigrationContext,
    revision: Any,  # noqa: ARG001  Alembic's signature
    directives: list[ops.MigrationScript],
) -> None:
    """Replace a blocking revision with several non-blocking ones: Alembic's hook `process_revision_directives`.

    Each revision follows the previous one. The first has the requested id, head, branch label and dependencies. Does
    nothing if another hook has already split the revision.
    """
    if len(directives) != 1 or context.connection is None or context.dialect.name != "postgresql":
        return
    first = directives[0]
    if len(first.upgrade_ops_list) != 1 or first.upgrade_ops is None or first.downgrade_ops is None:
        return
    operations_found = ops.UpgradeOps(first.upgrade_ops.ops)
    split = parts(operations_found, _partitioned(context.connection))
    for part in split:
        part.up, part.down = (
            with_notes(context.connection, part.up),
            with_notes(context.connection, part.down),
        )
    if not split or (len(split) == 1 and split[0].up == operations_found.ops):
        return
    tokens = first.upgrade_ops.upgrade_token, first.downgrade_ops.downgrade_token
    directives[:] = [first, *(_following(first, part) for part in split[1:])]
    for number, (script, part) in enumerate(zip(directives, split, strict=True)):
        script.upgrade_ops = ops.UpgradeOps(part.up, tokens[0])
        script.downgrade_ops = ops.DowngradeOps(part.down, tokens[1])
        if number:
            script.head = directives[number - 1].rev_id
    message = first.message
    if len(split) > 1:
        for script, part in zip(directives, split, strict=True):
            script.message = ": ".join(filter(None, (message, part.title))) or None
    directives[-1].upgrade_ops = _LastRevision(split[-1].up, operations_found, tokens[0])


def _following(first: ops.MigrationScript, part: Part) -> ops.MigrationScript:
    return ops.MigrationScript(
        rev_id(),
        ops.UpgradeOps(part.up),
        ops.DowngradeOps(part.down),
        imports=first.imports,
        version_path=first.version_path,
    )


def _partitioned(connection: Connection) -> set[TableKey]:
    default = connection.dialect.default_schema_name
    return {
        (None if schema == default else schema, table)
        for schema, table in connection.execute(text(_PARTITIONED))
    }


_COPY: Final = "dbschema_rewritten"
_FILE: Final = text(f"SELECT pg_catalog.pg_relation_filenode('pg_temp.{_COPY}'::pg_catalog.regclass)")
_REWRITTEN: Final = (
    "PostgreSQL rewrites {table} for the next step: all reads and writes of it wait until the revision is done. A table"
    " that is large and in use needs several steps: see docs/live-tables.md"
)
_WITHOUT_VALUE: Final = (
    "This fails if {table} has rows, because the column has no value for them. Give it a default, or let it be NULL until"
    " a later revision: see docs/live-tables.md"
)


def with_notes(connection: Connection, operations: Iterable[Any]) -> list[Any]:
    """Return the operations with a note before each one that rewrites a table, or that fails if the table has rows.

    Args:
        connection: to the compared database; all trials are rolled back.
        operations: the operations of an upgrade, of a downgrade, or of one table.
    """
    operations_found: list[Any] = []
    for op in operations:
        if isinstance(op, ops.ModifyTableOps):
            table = ops.ModifyTableOps(op.table_name, with_notes(connection, op.ops), schema=op.schema)
            operations_found.append(table)
            continue
        if _has_no_value(op):
            operations_found.append(NoteOp(_WITHOUT_VALUE.format(table=qualified(op.schema, op.table_name))))
        elif _may_rewrite(op) and _rewrites(connection, op):
            operations_found.append(NoteOp(_REWRITTEN.format(table=qualified(op.schema, op.table_name))))
        operations_found.append(op)
    return operations_found


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
    """Whether a change rewrites its table; False if the trial fails, because the revision then fails with the reason."""
    trial = copy(op)
    trial.table_name, trial.schema = _COPY, "pg_temp"
    savepoint = connection.begin_nested()
    try:
        connection.execute(
            text(f"CREATE TEMPORARY TABLE {quote(_COPY)} (LIKE {qualified(op.schema, op.table_name)})")
        )
        before = connection.scalar(_FILE)
        Operations(MigrationContext.configure(connection)).invoke(trial)
        return bool(connection.scalar(_FILE) != before)
    except SQLAlchemyError:
        return False
    finally:
        savepoint.rollback()
