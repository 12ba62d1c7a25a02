"""Asks all questions of behaviour, each group by its module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.verify.behaviour import (
    append_only,
    checks,
    isolation,
    nearest,
    references,
    removal,
    timestamps,
    uniqueness,
    versions,
)
from dbschema.verify.behaviour.acting import take_role, unbound
from dbschema.verify.behaviour.stage import Stage, tenant_tables
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute

if TYPE_CHECKING:
    from sqlalchemy import MetaData, Table

    from dbschema.verify.behaviour.acting import Actor
    from dbschema.verify.recording import Recorder

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
    stage = Stage(connection, tables, actor)
    stage.set_up()
    isolation.check(recorder, stage)
    timestamps.check(recorder, stage, metadata)
    versions.check(recorder, stage, metadata)
    append_only.check(recorder, stage, metadata)
    removal.check(recorder, stage)
    references.check(recorder, stage)
    uniqueness.check(recorder, stage)
    checks.check(recorder, stage, metadata)
    nearest.check(recorder, stage)


def _who(actor: Actor) -> str:
    if actor.role == actor.own:
        return f"as {actor.role} itself, which row security binds"
    return f"{actor.own} acts as {actor.role}"


def _bound(recorder: Recorder, tables: list[Table], actor: Actor) -> str:
    if wrong := unbound(recorder.connection, tables):
        raise Unmet(f"it does not bind {actor.role} on {', '.join(wrong)}")
    return f"binds {actor.role} on {len(tables)} tables"
