"""The group `timestamps`: `updated_at` is the database's, whatever a client writes.

The group `versions`: a version rises with each change, and only then.

The group `append-only`: records can be added and neither changed nor taken away, whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Enum, String

from dbschema.ddl import Trigger, declared
from dbschema.ddl.audit import APPEND_ONLY_FUNCTION
from dbschema.ddl.base import quote
from dbschema.ddl.maintained import UPDATED_AT_FUNCTION, VERSION_FUNCTION
from dbschema.verify.behaviour import samples
from dbschema.verify.behaviour.fixture import UPDATED_AT, as_own_role
from dbschema.verify.behaviour.isolation import INSUFFICIENT_PRIVILEGE
from dbschema.verify.behaviour.samples import value_for
from dbschema.verify.report import Unmet, attempt, execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column, MetaData, Table

    from dbschema.verify.behaviour.fixture import TwoTenantFixture
    from dbschema.verify.report import Recorder


FORGED = "1999-12-31 00:00:00+00"


def check_timestamps(recorder: Recorder, stage: TwoTenantFixture, metadata: MetaData) -> None:
    """Make a check for each table with a trigger that keeps `updated_at`."""
    kept = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == UPDATED_AT_FUNCTION.name
    }
    for table in stage.tables:
        if (table.schema, table.name) in kept:
            recorder.ask("timestamps", table.fullname, _table(stage, table))


def _table(stage: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def ask() -> str:
        key = stage.key(table, stage.mine)
        done = execute(
            stage.connection,
            samples.update(table, f"{UPDATED_AT} = %(forged)s", key),
            {"forged": FORGED},
        )
        if done.rowcount != 1:
            raise Unmet(f"an update of a tenant's own row concerned {done.rowcount} rows")
        moved, value = execute(
            stage.connection,
            samples.select(table, f"{UPDATED_AT} = now(), {UPDATED_AT}::text", key),
        ).one()
        if not moved:
            raise Unmet(f"{UPDATED_AT} is {value} after an update, and not the time of the transaction")
        return f"{UPDATED_AT} moves though the client forges it"

    return ask


CASES = (
    ("rises by one with a change", "{column} = %(new)s", 1),
    ("stays where nothing changes", "{column} = {column}", 0),
    ("cannot be forged", "{column} = %(new)s, version = 99", 1),
    ("is not raised by forging it", "version = 99", 0),
)
"""What an update writes, and by how much the version rises."""


def check_versions(recorder: Recorder, stage: TwoTenantFixture, metadata: MetaData) -> None:
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


def _question(stage: TwoTenantFixture, table: Table, assignment: str, rise: int) -> Callable[[], str]:
    def ask() -> str:
        key = stage.key(table, stage.mine)
        column = _changeable(table)
        values = {"new": value_for(column)} if "%(new)s" in assignment else None
        query = samples.select(table, "version", key)
        before = int(execute(stage.connection, query).scalar_one())
        written = assignment.format(column=quote(column.name))
        execute(stage.connection, samples.update(table, written, key), values)
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


_MAY = "SELECT has_table_privilege(to_regclass(%(table)s)::oid, %(privilege)s)"
_FIRES = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass(%(table)s) AND p.proname = %(function)s AND t.tgenabled IN ('O', 'A')
      AND t.tgtype & %(event)s::int > 0
)
"""
_EVENTS = {"UPDATE": "16", "DELETE": "8", "TRUNCATE": "32"}


def check_append_only(recorder: Recorder, stage: TwoTenantFixture, metadata: MetaData) -> None:
    """Make the checks for each table whose trigger refuses changes."""
    guarded = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == APPEND_ONLY_FUNCTION.name
    }
    for table in stage.tables:
        if (table.schema, table.name) in guarded:
            for event in _EVENTS:
                recorder.ask(
                    "append-only",
                    f"{table.fullname}: {event} by {stage.actor.role}",
                    _as_actor(stage, table, event),
                )
                if stage.actor.own != stage.actor.role:
                    recorder.ask(
                        "append-only",
                        f"{table.fullname}: {event} by {stage.actor.own}",
                        _as_own(stage, table, event),
                    )


def _as_actor(stage: TwoTenantFixture, table: Table, event: str) -> Callable[[], str]:
    def ask() -> str:
        return _refuse(stage, table, event)

    return ask


def _as_own(stage: TwoTenantFixture, table: Table, event: str) -> Callable[[], str]:
    def ask() -> str:
        as_own_role(stage.connection, stage.actor)
        return _refuse(stage, table, event)

    return ask


def _refuse(stage: TwoTenantFixture, table: Table, event: str) -> str:
    name = {"table": samples.named(table)}
    privileged = execute(stage.connection, _MAY, {**name, "privilege": event}).scalar()
    if event == "TRUNCATE" and privileged:
        # Tried out, it would lock the table against everybody; whether its trigger fires can be read.
        values = {**name, "function": APPEND_ONLY_FUNCTION.name, "event": _EVENTS[event]}
        if not execute(stage.connection, _FIRES, values).scalar():
            raise Unmet("no trigger refuses it")
        return "a trigger refuses it"
    key = stage.key(table, stage.mine)
    answer = attempt(
        stage.connection,
        {
            "UPDATE": samples.update(table, "id = id", key),
            "DELETE": samples.delete(table, key),
            "TRUNCATE": f"TRUNCATE {samples.named(table)}",
        }[event],
    )
    if not answer.refused:
        raise Unmet("it is allowed")
    if answer.state != INSUFFICIENT_PRIVILEGE:
        raise Unmet(f"it is refused for another reason: {answer.message}")
    return "the trigger refuses it" if privileged else "the role has not the privilege"
