"""The group `append-only`: records can be added and neither changed nor taken away, whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl import Trigger, declared
from dbschema.ddl.append_only import APPEND_ONLY_FUNCTION
from dbschema.verify.behaviour import statements
from dbschema.verify.behaviour.acting import as_own_role
from dbschema.verify.behaviour.isolation import INSUFFICIENT_PRIVILEGE
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import attempt, execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import MetaData, Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

_MAY = "SELECT has_table_privilege(to_regclass(%(table)s)::oid, %(privilege)s)"
_FIRES = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass(%(table)s) AND p.proname = %(function)s AND t.tgenabled IN ('O', 'A')
      AND t.tgtype & %(event)s::int > 0
)
"""
_EVENTS = {"UPDATE": "16", "DELETE": "8", "TRUNCATE": "32"}


def check(recorder: Recorder, stage: Stage, metadata: MetaData) -> None:
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


def _as_actor(stage: Stage, table: Table, event: str) -> Callable[[], str]:
    def ask() -> str:
        return _refuse(stage, table, event)

    return ask


def _as_own(stage: Stage, table: Table, event: str) -> Callable[[], str]:
    def ask() -> str:
        as_own_role(stage.connection, stage.actor)
        return _refuse(stage, table, event)

    return ask


def _refuse(stage: Stage, table: Table, event: str) -> str:
    name = {"table": statements.named(table)}
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
            "UPDATE": statements.update(table, "id = id", key),
            "DELETE": statements.delete(table, key),
            "TRUNCATE": f"TRUNCATE {statements.named(table)}",
        }[event],
    )
    if not answer.refused:
        raise Unmet("it is allowed")
    if answer.state != INSUFFICIENT_PRIVILEGE:
        raise Unmet(f"it is refused for another reason: {answer.message}")
    return "the trigger refuses it" if privileged else "the role has not the privilege"
