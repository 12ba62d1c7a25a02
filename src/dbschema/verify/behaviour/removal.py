"""The group `removal`: all rows of a tenant go with it, those that nobody may delete included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.verify.behaviour import statements
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder


def check(recorder: Recorder, stage: Stage) -> None:
    """Make one check for each table that names the tenants, of all tables that keep tenants apart."""
    for root in stage.tables:
        if root.info.get("distribution") == "reference" and "tenant_id" not in root.columns:
            recorder.ask("removal", f"rows go with their row in {root.fullname}", _question(stage, root))


def _question(stage: Stage, root: Table) -> Callable[[], str]:
    def ask() -> str:
        counted = {table.fullname: _count(stage, table) for table in stage.tables}
        done = execute(stage.connection, statements.delete(root, stage.key(root, stage.mine)))
        left = [table.fullname for table in stage.tables if _count(stage, table)]
        if done.rowcount != 1 or left:
            raise Unmet(f"rows are left in {', '.join(left) or root.fullname}")
        empty = [name for name, count in counted.items() if not count]
        if empty:
            raise Unmet(f"there was no row to remove in {', '.join(empty)}")
        return f"from {len(counted)} tables"

    return ask


def _count(stage: Stage, table: Table) -> int:
    column = "tenant_id" if "tenant_id" in table.columns else "id"
    return stage.count(table, f"{column} = '{stage.mine}'")
