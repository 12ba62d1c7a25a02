"""What happens when rows are written and read, as the role of an application: the promises, put to the test.

Asks all questions of behaviour, each group by its module.
"""

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
    # Rows of no tenant are looked for in the index, so that large tables are not read through.
    "SET LOCAL enable_seqscan = off",
    # A key that waits for the commit would never be checked here.
    "SET CONSTRAINTS ALL IMMEDIATE",
)


def check(recorder: Recorder, metadata: MetaData) -> None:
    """Make the checks of all groups of behaviour; without a role to ask as, a single ✗ that says what to run."""
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
    recorder.ask("behaviour", "row security is active", lambda: _bound(recorder, tables, actor))
    isolation.check_unset(recorder, tables)
    stage = TwoTenantFixture(connection, tables, actor)
    stage.set_up()
    isolation.check_isolation(recorder, stage)
    triggers.check_timestamps(recorder, stage, metadata)
    triggers.check_versions(recorder, stage, metadata)
    triggers.check_append_only(recorder, stage, metadata)
    check_removal(recorder, stage)
    constraints.check_references(recorder, stage)
    constraints.check_uniqueness(recorder, stage)
    constraints.check_values(recorder, stage, metadata)
    nearest.check(recorder, stage)


def _who(actor: Actor) -> str:
    if actor.role == actor.own:
        return f"as {actor.role} itself, which row security binds"
    return f"{actor.own} acts as {actor.role}"


def _bound(recorder: Recorder, tables: list[Table], actor: Actor) -> str:
    if wrong := unbound(recorder.connection, tables):
        raise Unmet(f"it does not bind {actor.role} on {', '.join(wrong)}")
    return f"binds {actor.role} on {len(tables)} tables"
