"""The group `versions`: a version rises with each change, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Enum, String

from dbschema.ddl import Trigger, declared
from dbschema.ddl.base import quote
from dbschema.ddl.versions import VERSION_FUNCTION
from dbschema.verify.behaviour import statements
from dbschema.verify.behaviour.specimens import value_for
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column, MetaData, Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

CASES = (
    ("rises by one with a change", "{column} = %(new)s", 1),
    ("stays where nothing changes", "{column} = {column}", 0),
    ("cannot be forged", "{column} = %(new)s, version = 99", 1),
    ("is not raised by forging it", "version = 99", 0),
)
"""What an update writes, and by how much the version rises."""


def check(recorder: Recorder, stage: Stage, metadata: MetaData) -> None:
    """Make a check of each of `CASES` for each table with a trigger that raises `version`."""
    raised = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == VERSION_FUNCTION.name
    }
    for table in stage.tables:
        if (table.schema, table.name) in raised:
            for name, assignment, rise in CASES:
                recorder.ask(
                    "versions", f"{table.fullname} {name}", _question(stage, table, assignment, rise)
                )


def _question(stage: Stage, table: Table, assignment: str, rise: int) -> Callable[[], str]:
    def ask() -> str:
        key = stage.key(table, stage.mine)
        column = _changeable(table)
        values = {"new": value_for(column)} if "%(new)s" in assignment else None
        query = statements.select(table, "version", key)
        before = int(execute(stage.connection, query).scalar_one())
        written = assignment.format(column=quote(column.name))
        execute(stage.connection, statements.update(table, written, key), values)
        after = int(execute(stage.connection, query).scalar_one())
        if after != before + rise:
            raise Unmet(f"from {before} it came to {after}, and should be {before + rise}")
        return f"from {before} to {after}"

    return ask


def _changeable(table: Table) -> Column[object]:
    """A column that is free to take another value."""
    for column in table.columns:
        # Types that carry a CHECK are decorators around Text, and no String themselves.
        if isinstance(column.type, String) and not isinstance(column.type, Enum) and not column.foreign_keys:
            return column
    raise Unmet(f"table {table.fullname} has no text column that could be changed")
