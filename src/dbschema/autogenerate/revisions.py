"""One run of autogenerate as several revisions, where its change shall stall nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.operations import ops
from alembic.util import rev_id
from sqlalchemy import text

from dbschema.autogenerate.online import parts
from dbschema.autogenerate.rewrites import noted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from dbschema.autogenerate.online import Part, TableKey

# PostgreSQL builds no index CONCURRENTLY there, and before 18 knows no NOT VALID for foreign keys.
_PARTITIONED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'p'
"""


class _Whole(ops.UpgradeOps):
    """The last of several revisions, which `alembic check` asks what was found: all of it.

    Args:
        operations: its own.
        found: those of the whole run.
        upgrade_token: of Alembic's template.
    """

    def __init__(self, operations: Iterable[Any], found: ops.UpgradeOps, upgrade_token: str) -> None:
        super().__init__(list(operations), upgrade_token)
        self._found = found

    def as_diffs(self) -> Any:
        return self._found.as_diffs()


def write_online(
    context: MigrationContext,
    revision: Any,  # noqa: ARG001  Alembic's signature
    directives: list[ops.MigrationScript],
) -> None:
    """Alembic's hook `process_revision_directives`: puts several revisions in the place of one that would stall.

    Each follows the one before. The first has the id, the head, the branch label and the dependencies that were asked for.
    What a hook has made several revisions of already is left alone.
    """
    if len(directives) != 1 or context.connection is None or context.dialect.name != "postgresql":
        return
    first = directives[0]
    if len(first.upgrade_ops_list) != 1 or first.upgrade_ops is None or first.downgrade_ops is None:
        return
    found = ops.UpgradeOps(first.upgrade_ops.ops)
    split = parts(found, _partitioned(context.connection))
    for part in split:
        part.up, part.down = noted(context.connection, part.up), noted(context.connection, part.down)
    if not split or (len(split) == 1 and split[0].up == found.ops):
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
    directives[-1].upgrade_ops = _Whole(split[-1].up, found, tokens[0])


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
