"""The group `timestamps`: `updated_at` is the database's, whatever a client writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl import Trigger, declared
from dbschema.ddl.timestamps import UPDATED_AT_FUNCTION
from dbschema.verify.behaviour import statements
from dbschema.verify.behaviour.stage import UPDATED_AT
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import MetaData, Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

FORGED = "1999-12-31 00:00:00+00"


def check(recorder: Recorder, stage: Stage, metadata: MetaData) -> None:
    """Make a check for each table with a trigger that keeps `updated_at`."""
    kept = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == UPDATED_AT_FUNCTION.name
    }
    for table in stage.tables:
        if (table.schema, table.name) in kept:
            recorder.ask("timestamps", table.fullname, _table(stage, table))


def _table(stage: Stage, table: Table) -> Callable[[], str]:
    def ask() -> str:
        key = stage.key(table, stage.mine)
        done = execute(
            stage.connection,
            statements.update(table, f"{UPDATED_AT} = %(forged)s", key),
            {"forged": FORGED},
        )
        if done.rowcount != 1:
            raise Unmet(f"an update of a tenant's own row concerned {done.rowcount} rows")
        moved, value = execute(
            stage.connection,
            statements.select(table, f"{UPDATED_AT} = now(), {UPDATED_AT}::text", key),
        ).one()
        if not moved:
            raise Unmet(f"{UPDATED_AT} is {value} after an update, and not the time of the transaction")
        return f"{UPDATED_AT} moves though the client forges it"

    return ask
