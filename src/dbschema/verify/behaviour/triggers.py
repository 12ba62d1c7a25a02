"""Check the groups `timestamps`, `versions` and `append-only`: triggers maintain columns and protect records.

The database sets `updated_at`, whatever a client writes. A change increments `version`, and nothing else does. Rows of an
append-only table can be added, but neither updated nor deleted by any role.
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


def check_timestamps(recorder: Recorder, fixture: TwoTenantFixture, metadata: MetaData) -> None:
    """Check each table with a trigger that maintains `updated_at`."""
    maintained = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == UPDATED_AT_FUNCTION.name
    }
    for table in fixture.tables:
        if (table.schema, table.name) in maintained:
            recorder.run("timestamps", table.fullname, _table(fixture, table))


def _table(fixture: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def run() -> str:
        key = fixture.key(table, fixture.mine)
        done = execute(
            fixture.connection,
            samples.update(table, f"{UPDATED_AT} = %(forged)s", key),
            {"forged": FORGED},
        )
        if done.rowcount != 1:
            raise Unmet(f"an update of a tenant's own row affected {done.rowcount} rows")
        moved, value = execute(
            fixture.connection,
            samples.select(table, f"{UPDATED_AT} = now(), {UPDATED_AT}::text", key),
        ).one()
        if not moved:
            raise Unmet(f"{UPDATED_AT} is {value} after an update, and not the time of the transaction")
        return f"{UPDATED_AT} moves though the client forges it"

    return run


CASES = (
    ("rises by one with a change", "{column} = %(new)s", 1),
    ("stays where nothing changes", "{column} = {column}", 0),
    ("cannot be forged", "{column} = %(new)s, version = 99", 1),
    ("is not raised by forging it", "version = 99", 0),
)
"""The name of a check, the assignments of an update, and the increment of the version."""


def check_versions(recorder: Recorder, fixture: TwoTenantFixture, metadata: MetaData) -> None:
    """Check `CASES` for each table with a trigger that increments `version`."""
    versioned = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == VERSION_FUNCTION.name
    }
    for table in fixture.tables:
        if (table.schema, table.name) in versioned:
            for name, assignment, rise in CASES:
                recorder.run("versions", f"{table.fullname} {name}", _check(fixture, table, assignment, rise))


def _check(fixture: TwoTenantFixture, table: Table, assignment: str, rise: int) -> Callable[[], str]:
    def run() -> str:
        key = fixture.key(table, fixture.mine)
        column = _changeable(table)
        values = {"new": value_for(column)} if "%(new)s" in assignment else None
        query = samples.select(table, "version", key)
        before = int(execute(fixture.connection, query).scalar_one())
        written = assignment.format(column=quote(column.name))
        execute(fixture.connection, samples.update(table, written, key), values)
        after = int(execute(fixture.connection, query).scalar_one())
        if after != before + rise:
            raise Unmet(f"the version changed from {before} to {after}; expected {before + rise}")
        return f"from {before} to {after}"

    return run


def _changeable(table: Table) -> Column[object]:
    """Return a column that accepts any text."""
    for column in table.columns:
        # Types with a CHECK are type decorators, and not subclasses of String.
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


def check_append_only(recorder: Recorder, fixture: TwoTenantFixture, metadata: MetaData) -> None:
    """Check each table with the append-only trigger."""
    protected = {
        item.table_key
        for item in declared(metadata)
        if isinstance(item, Trigger) and item.function == APPEND_ONLY_FUNCTION.name
    }
    for table in fixture.tables:
        if (table.schema, table.name) in protected:
            for event in _EVENTS:
                recorder.run(
                    "append-only",
                    f"{table.fullname}: {event} by {fixture.actor.role}",
                    _as_actor(fixture, table, event),
                )
                if fixture.actor.own != fixture.actor.role:
                    recorder.run(
                        "append-only",
                        f"{table.fullname}: {event} by {fixture.actor.own}",
                        _as_own(fixture, table, event),
                    )


def _as_actor(fixture: TwoTenantFixture, table: Table, event: str) -> Callable[[], str]:
    def run() -> str:
        return _expect_rejection(fixture, table, event)

    return run


def _as_own(fixture: TwoTenantFixture, table: Table, event: str) -> Callable[[], str]:
    def run() -> str:
        as_own_role(fixture.connection, fixture.actor)
        return _expect_rejection(fixture, table, event)

    return run


def _expect_rejection(fixture: TwoTenantFixture, table: Table, event: str) -> str:
    name = {"table": samples.named(table)}
    privileged = execute(fixture.connection, _MAY, {**name, "privilege": event}).scalar()
    if event == "TRUNCATE" and privileged:
        # TRUNCATE would lock the table for all sessions. Read from the catalog whether its trigger fires.
        values = {**name, "function": APPEND_ONLY_FUNCTION.name, "event": _EVENTS[event]}
        if not execute(fixture.connection, _FIRES, values).scalar():
            raise Unmet("no trigger rejects it")
        return "a trigger rejects it"
    key = fixture.key(table, fixture.mine)
    result = attempt(
        fixture.connection,
        {
            "UPDATE": samples.update(table, "id = id", key),
            "DELETE": samples.delete(table, key),
            "TRUNCATE": f"TRUNCATE {samples.named(table)}",
        }[event],
    )
    if not result.rejected:
        raise Unmet("it is allowed")
    if result.state != INSUFFICIENT_PRIVILEGE:
        raise Unmet(f"it is rejected for another reason: {result.message}")
    return "the trigger rejects it" if privileged else "the role lacks the privilege"
