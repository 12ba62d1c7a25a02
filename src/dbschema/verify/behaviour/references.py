"""The group `foreign keys`: no row points into another tenant, nor to one that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from dbschema.verify.errors import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ForeignKeyConstraint, Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Answer, Recorder

FOREIGN_KEY_VIOLATION = "23503"


def check(recorder: Recorder, stage: Stage) -> None:
    """Make a check for each foreign key between tables that keep tenants apart."""
    for table in stage.tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys)):
            if key.referred_table in stage.tables:
                columns = [column.name for column in key.columns if column.name != "tenant_id"]
                ask = _across(stage, table, key, columns) if columns else _nowhere(stage, table)
                recorder.ask("foreign keys", f"{table.fullname}.{', '.join(columns) or 'tenant_id'}", ask)


def _across(stage: Stage, table: Table, key: ForeignKeyConstraint, columns: list[str]) -> Callable[[], str]:
    def ask() -> str:
        target = key.referred_table
        # A row of one's own first: what is refused then is the other tenant, and not the row.
        stage.insert(table, stage.mine)
        theirs = {column: str(stage.id_of(target, stage.theirs)) for column in columns}
        _require(stage.try_insert(table, stage.mine, **theirs))
        return f"cannot point into {target.fullname} of another tenant"

    return ask


def _nowhere(stage: Stage, table: Table) -> Callable[[], str]:
    def ask() -> str:
        values = stage.values(table, stage.mine)
        nobody = uuid4()
        stage.become(nobody)
        # Only what is needed and optional keys left out: it is the tenant that must be missed.
        optional = {column.name: None for column in table.columns if column.foreign_keys and column.nullable}
        _require(stage.try_insert(table, nobody, **{**values, **optional, "tenant_id": str(nobody)}))
        return "cannot name a tenant that is not there"

    return ask


def _require(answer: Answer) -> None:
    if not answer.refused:
        raise Unmet("a row that points elsewhere is taken")
    if answer.state != FOREIGN_KEY_VIOLATION:
        raise Unmet(f"it is refused for another reason: {answer.message}")
