"""What has to be in place before Alembic compares tables, so that an `env.py` need not say it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from dbschema._alembic import add_name_filter
from dbschema.autogenerate import render

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps

_INFO_KEY = "dbschema.prepared"

# By the dependency on the extension, not by name: PostGIS with tiger and topology owns 39 tables. Alembic sees those of
# any schema in the search_path under the default schema.
_EXTENSION_TABLES = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e' AND d.objsubid = 0
"""


def prepare(autogen_context: AutogenContext, upgrade_ops: UpgradeOps) -> None:
    """Leave out what extensions own, and render our types; once for each run of autogenerate."""
    if _INFO_KEY in upgrade_ops.info:
        return
    upgrade_ops.info[_INFO_KEY] = True
    _leave_out_extension_tables(autogen_context)
    _render_our_types(autogen_context.opts)


def _leave_out_extension_tables(autogen_context: AutogenContext) -> None:
    connection = autogen_context.connection
    if connection is None:
        return
    owned: set[tuple[str | None, str]] = set()
    for schema, table, visible in connection.execute(text(_EXTENSION_TABLES)):
        owned.add((schema, table))
        if visible:
            owned.add((None, table))
    # A model that speaks of such a table is compared with it.
    owned -= {(table.schema, table.name) for table in autogen_context.table_key_to_table.values()}

    def is_ours(name: str | None, kind: str, parents: MutableMapping[str, Any]) -> bool:
        return kind != "table" or (parents.get("schema_name"), name) not in owned

    add_name_filter(autogen_context, is_ours)


def _render_our_types(opts: dict[str, Any]) -> None:
    theirs = opts.get("render_item")
    if isinstance(theirs, partial) and theirs.func is _render_theirs_first:
        return  # the options outlive a run
    opts["render_item"] = partial(_render_theirs_first, theirs)


def _render_theirs_first(theirs: Any, kind: str, item: Any, autogen_context: AutogenContext) -> Any:
    if theirs:
        rendered = theirs(kind, item, autogen_context)
        if rendered is not False:
            return rendered
    return render.render_item(kind, item, autogen_context)
