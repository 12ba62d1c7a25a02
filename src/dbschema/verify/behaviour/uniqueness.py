"""The group `unique`: what must be unique is so within a tenant, and free to occur in another one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import UniqueConstraint

from dbschema.verify.errors import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

UNIQUE_VIOLATION = "23505"


def check(recorder: Recorder, stage: Stage) -> None:
    """Make a check for each unique constraint."""
    for table in stage.tables:
        constraints = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
        for constraint in sorted(constraints, key=lambda item: item.columns.keys()):
            columns = [name for name in constraint.columns.keys() if name != "tenant_id"]  # noqa: SIM118  a collection of columns, whose iteration gives columns
            name = f"{table.fullname}.{', '.join(columns)}"
            recorder.ask("unique", name, _question(stage, table, columns))


def _question(stage: Stage, table: Table, columns: list[str]) -> Callable[[], str]:
    def ask() -> str:
        values: dict[str, str | None] = {
            column: stage.value(table, table.columns[column])
            for column in columns
            if not table.columns[column].foreign_keys
        }
        keys_alone = not values
        if keys_alone:  # the same row is to be pointed to twice
            made = stage.values(table, stage.mine)
            values = {column: made[column] for column in columns}
        scoped = "tenant_id" in table.columns
        first, second = (stage.mine, stage.mine) if scoped else (uuid4(), uuid4())
        stage.become(first)
        stage.insert(table, first, **values)
        stage.become(second)
        answer = stage.try_insert(table, second, **values)
        if not answer.refused:
            raise Unmet("the same value is taken twice")
        if answer.state != UNIQUE_VIOLATION:
            raise Unmet(f"the second is refused for another reason: {answer.message}")
        if keys_alone:
            return "refused the second time"
        if not scoped:
            return "refused the second time, whoever has it"
        stage.become(stage.theirs)
        answer = stage.try_insert(table, stage.theirs, **values)
        if answer.refused:
            raise Unmet(f"another tenant cannot have the same value: {answer.message}")
        return "refused the second time, free for another tenant"

    return ask
