"""Roles: the declared ones are created, with their settings; others, and what else they may do, are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp
from dbschema.ddl.base import quote
from dbschema.ddl.roles import Role
from dbschema.identity import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
    """Roles that are missing or lack a setting.

    A role belongs to the whole cluster: one that only other databases know is missing here, and its creation survives
    that it is there. What an administrator has given it besides stays.
    """
    for item in comparison.missing("role"):
        yield CreateObjectOp(item)
    for identity, _, found in comparison.changed("role"):
        after = comparison.wanted_object(identity)
        there = found["settings"] if isinstance(found["settings"], tuple) else ()
        lacking = [
            (name, value)
            for name, value in (after.settings if isinstance(after, Role) else ())
            if f"{name}={value}" not in there
        ]
        if lacking and isinstance(after, Role):
            before = dict(setting.split("=", 1) for setting in there)
            yield AlterObjectOp(
                comparison.found_object(identity),
                after,
                [_set(identity.name, name, value) for name, value in lacking],
                [_set(identity.name, name, before.get(name)) for name, _ in lacking],
                {name: (before.get(name), value) for name, value in lacking},
            )


def _set(role: str, name: str, value: str | None) -> str:
    change = f"RESET {quote(name)}" if value is None else f"SET {quote(name)} = {sql_string(value)}"
    return f"ALTER ROLE {quote(role)} {change}"
