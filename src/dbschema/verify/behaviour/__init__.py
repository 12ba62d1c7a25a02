"""Check the behaviour of a database: write and read rows of two tenants as the role of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.verify.behaviour import constraints, isolation, nearest, triggers
from dbschema.verify.behaviour.fixture import TwoTenantFixture, take_role, tenant_tables, unbound
from dbschema.verify.behaviour.isolation import check_removal
from dbschema.verify.report import Unmet, execute

if TYPE_CHECKING:
    from sqlalchemy import MetaData, Table

    from dbschema.verify.behaviour.fixture import Actor
    from dbschema.verify.report import Recorder


__all__ = ["check"]

SETTINGS = (
    # The search for rows without a tenant uses an index, and does not read large tables.
    "SET LOCAL enable_seqscan = off",
    # A deferred constraint would not be checked, because the transaction is rolled back.
    "SET CONSTRAINTS ALL IMMEDIATE",
)


def check(recorder: Recorder, metadata: MetaData) -> None:
    """Run the checks of all groups of behaviour; if no role is available, report one failure with the next step."""
    connection = recorder.connection
    tables = tenant_tables(metadata)
    try:
        actor = take_role(connection, tables)
    except Unmet as reason:
        recorder.note("behaviour", "role", False, str(reason))
        return
    recorder.note("behaviour", "role", True, _who(actor))
    for setting in SETTINGS:
        execute(connection, setting)
    recorder.run("behaviour", "row-level security is active", lambda: _bound(recorder, tables, actor))
    isolation.check_unset(recorder, tables)
    fixture = TwoTenantFixture(connection, tables, actor)
    fixture.set_up()
    isolation.check_isolation(recorder, fixture)
    triggers.check_timestamps(recorder, fixture, metadata)
    triggers.check_versions(recorder, fixture, metadata)
    triggers.check_append_only(recorder, fixture, metadata)
    check_removal(recorder, fixture)
    constraints.check_references(recorder, fixture)
    constraints.check_uniqueness(recorder, fixture)
    constraints.check_values(recorder, fixture, metadata)
    nearest.check(recorder, fixture)


def _who(actor: Actor) -> str:
    if actor.role == actor.own:
        return f"as {actor.role} itself, bound by row-level security"
    return f"{actor.own} acts as {actor.role}"


def _bound(recorder: Recorder, tables: list[Table], actor: Actor) -> str:
    if wrong := unbound(recorder.connection, tables):
        raise Unmet(f"it does not bind {actor.role} on {', '.join(wrong)}")
    return f"binds {actor.role} on {len(tables)} tables"
