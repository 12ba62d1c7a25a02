"""One module a kind of object: what the models want, against what the database has, as operations.

CHECK constraints whose condition changes; Alembic, which compares them by name, writes those that come and go.

Extensions: the declared ones are created; others are somebody else's.

Roles: the declared ones are created, with their settings; others, and what else they may do, are somebody else's.

Functions: replaced in their place where PostgreSQL can, else dropped and created with all that stands on them.

Row security: whether it is enabled, and whether it binds the table's owner too.

Policies: altered in their place where PostgreSQL can, so that there is no moment without them.

Triggers: what they are, and whether they fire.

Grants: what each role may do with each object; changed by what is to be added and what is to be taken away.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, cast

from alembic.operations import ops
from sqlalchemy import text
from sqlalchemy.schema import conv

from dbschema.autogenerate import operations
from dbschema.autogenerate.context import DISTRIBUTION, Comparison
from dbschema.autogenerate.from_catalog import (
    CatalogObject,
    comment_on,
    grant,
    on_table,
    privileges_changed,
    row_security,
    signature,
    switch,
)
from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.text import escaped
from dbschema.ddl.base import give, qualified, quote, take
from dbschema.ddl.functions import Function
from dbschema.ddl.roles import Role
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from alembic.autogenerate.api import AutogenContext

    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.ddl.base import DatabaseObject
    from dbschema.ddl.row_security import Policy


log: Final = logging.getLogger(__name__)

_DEFINITION: Final = re.compile(r"CHECK \((?P<condition>.*)\)", re.DOTALL)
"""As PostgreSQL prints it; one with more to it, such as NO INHERIT, is left to whoever wrote it."""


def compare_checks(comparison: Comparison) -> Iterator[ObjectOp]:
    """Changes Alembic's own operations on the tables, so that all that is done with constraints is done with these, too."""
    for identity, wanted, found in comparison.changed("constraint"):
        if {wanted["type"], found["type"]} != {"check"} or wanted["definition"] == found["definition"]:
            continue
        # Where the type of a column changes, PostgreSQL writes the condition anew by itself.
        if comparison.names_retyped_columns(identity, found):
            continue
        before, after = _creating(identity, found), _creating(identity, wanted)
        if before is not None and after is not None:
            changes = comparison.changes_of(identity)
            changes.insert(0, ops.DropConstraintOp.from_constraint(before.to_constraint()))
            changes.append(after)
            log.info("Detected check %r on %r to modify", identity.name, identity.table)
    yield from ()


def _creating(identity: Identity, attributes: Attributes) -> ops.CreateCheckConstraintOp | None:
    match = _DEFINITION.fullmatch(str(attributes["definition"]))
    if match is None:
        return None
    options = {} if attributes["validated"] else {"postgresql_not_valid": True}
    condition = text(escaped(match["condition"]))
    return ops.CreateCheckConstraintOp(
        conv(identity.name), identity.table, condition, schema=identity.schema, **options
    )


def compare_extensions(comparison: Comparison) -> Iterator[ObjectOp]:
    """Extensions that are wanted and not there. What a newer release of one would change is the administrator's choice."""
    for item in comparison.missing("extension"):
        yield CreateObjectOp(item)


def compare_roles(comparison: Comparison) -> Iterator[ObjectOp]:
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


_REFUSED = frozenset({"arguments", "result", "window"})
"""What CREATE OR REPLACE does not change: names and defaults of arguments, the type of the result."""

_BESIDE = frozenset({"comment", "owner"})
"""What is no part of CREATE FUNCTION."""


def compare_functions(comparison: Comparison) -> Iterator[ObjectOp]:
    """Functions that are missing, that differ, and that nobody declares."""
    for identity, wanted, found in comparison.changed("function"):
        if comparison.details(wanted, found).keys() & _REFUSED:
            yield from _recreated(comparison, identity)
        else:
            yield _replaced(comparison, identity, wanted, found)
    for item in comparison.missing("function"):
        comparison.settled.update(_comes_with(item))
        yield CreateObjectOp(item)
    for item in comparison.unwanted("function"):
        yield DropObjectOp(item)


def _replaced(
    comparison: Comparison, identity: Identity, wanted: Attributes, found: Attributes
) -> AlterObjectOp:
    before, after = comparison.found_object(identity), comparison.wanted_object(identity)
    details = comparison.details(wanted, found)
    forward: list[str] = []
    backward: list[str] = []
    if details.keys() - _BESIDE:
        forward += _definition(after)
        backward += _definition(before)
    if "comment" in details:
        was, will_be = details["comment"]
        forward.append(comment_on("FUNCTION", signature(identity), will_be))
        backward.append(comment_on("FUNCTION", signature(identity), was))
    return AlterObjectOp(
        before,
        after,
        _between(identity, found["owner"], forward, wanted["owner"]),
        _between(identity, wanted["owner"], backward, found["owner"]),
        details,
    )


def _between(
    identity: Identity, owner: object, statements: Iterable[str], next_owner: object
) -> Iterator[str]:
    """`statements` by whoever runs them, between one owner and the next; None: he is that himself."""
    if owner is not None:
        yield take(signature(identity), str(owner))
    yield from statements
    if next_owner is not None:
        yield give(signature(identity), identity.schema, str(next_owner))


def _definition(item: DatabaseObject) -> tuple[str, ...]:
    if not isinstance(item, Function | CatalogObject):
        raise TypeError(f"{item.identity.name} is no function")
    return item.definition()


def _comes_with(item: DatabaseObject) -> set[Identity]:
    """The grants that creating a function makes."""
    if not isinstance(item, Function):
        return set()
    _, schema, _, name = item.identity
    return {Identity("grant", schema, "", f"FUNCTION {name} TO {role}") for role in item.executable_by}


def _recreated(comparison: Comparison, identity: Identity) -> Iterator[ObjectOp]:
    """The function, and around it what PostgreSQL would not let it go without, or would let go with it."""
    for dependent in _dependents(comparison, identity):
        comparison.settled.add(dependent)
        yield DropObjectOp(comparison.found_object(dependent), returns=True)
    yield DropObjectOp(comparison.found_object(identity), returns=True)
    wanted = comparison.wanted_object(identity)
    yield CreateObjectOp(wanted)
    made = _comes_with(wanted)
    comparison.settled.update(made)
    for dependent in _dependents(comparison, identity):
        if dependent in comparison.wanted and dependent not in made:
            yield CreateObjectOp(comparison.wanted_object(dependent))


def _dependents(comparison: Comparison, identity: Identity) -> list[Identity]:
    """Triggers and policies that call the function, and grants on it.

    By the text of their definitions: one too many is dropped and created for nothing, in the same transaction.
    """
    found = comparison.found
    call = re.compile(rf"(?<!\w){re.escape(quote(identity.name.partition('(')[0]))}\(")
    callers = [
        item
        for kind in ("policy", "trigger")
        for item, attributes in found.of(kind).items()
        if any(call.search(value) for value in attributes.values() if isinstance(value, str))
    ]
    return callers + [item for item in found.of("grant") if found.parents.get(item) == identity]


def compare_row_security(comparison: Comparison) -> Iterator[ObjectOp]:
    """Tables whose row security is switched otherwise than wanted; every table has an entry, most have it off."""
    for identity, wanted, found in comparison.changed("row security"):
        yield AlterObjectOp(
            row_security(identity, found),
            row_security(identity, wanted),
            _switched(identity, found, wanted),
            _switched(identity, wanted, found),
            comparison.details(wanted, found),
        )
    for item in comparison.missing("row security"):
        if item.create():
            yield CreateObjectOp(item)
    for item in comparison.unwanted("row security"):
        if item.create():
            yield DropObjectOp(item)


def _switched(identity: Identity, before: Attributes, after: Attributes) -> list[str]:
    words = {
        ("enabled", True): "ENABLE",
        ("enabled", False): "DISABLE",
        ("forced", True): "FORCE",
        ("forced", False): "NO FORCE",
    }
    table = qualified(identity.schema, identity.table)
    return [
        f"ALTER TABLE {table} {words[name, bool(after[name])]} ROW LEVEL SECURITY"
        for name in ("enabled", "forced")
        if before[name] != after[name]
    ]


def compare_policies(comparison: Comparison) -> Iterator[ObjectOp]:
    """Policies that are missing, that differ, and that nobody declares."""
    for identity, wanted, found in comparison.changed("policy"):
        before = cast("Policy", comparison.found_object(identity))
        after = cast("Policy", comparison.wanted_object(identity))
        if _made_anew(wanted, found) or comparison.columns_change(identity):
            yield DropObjectOp(before, returns=True)
            yield CreateObjectOp(after)
        else:
            details = comparison.details(wanted, found)
            forward, backward = _altered(identity, after, details), _altered(identity, before, details)
            yield AlterObjectOp(before, after, forward, backward, details)
    for identity in comparison.in_the_way("policy"):
        yield DropObjectOp(comparison.found_object(identity), returns=True)
        yield CreateObjectOp(comparison.wanted_object(identity))
    for item in comparison.missing("policy"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("policy"):
        yield DropObjectOp(item)


def _made_anew(wanted: Attributes, found: Attributes) -> bool:
    """Whether ALTER POLICY cannot do it: it changes neither the command nor the kind, and takes no condition away."""
    return any(wanted[name] != found[name] for name in ("command", "permissive")) or any(
        (wanted[name] is None) != (found[name] is None) for name in ("using", "check")
    )


def _altered(identity: Identity, policy: Policy, changed: Collection[str]) -> list[str]:
    """The statements that give the policy what `policy` has, in the attributes that changed."""
    parts = [f"ALTER POLICY {on_table(identity)}"]
    if "roles" in changed:
        parts.append(f"TO {', '.join(map(quote, policy.roles)) or 'PUBLIC'}")
    if "using" in changed:
        parts.append(f"USING ({policy.using})")
    if "check" in changed:
        parts.append(f"WITH CHECK ({policy.check})")
    statements = [" ".join(parts)] if len(parts) > 1 else []
    if "comment" in changed:
        statements.append(comment_on("POLICY", on_table(identity), policy.comment))
    return statements


def compare_triggers(comparison: Comparison) -> Iterator[ObjectOp]:
    """Triggers that are missing, that differ, and that nobody declares.

    PostgreSQL changes in its place whether a trigger fires, and its comment; for the rest it is made anew.
    """
    for identity, wanted, found in comparison.changed("trigger"):
        before, after = comparison.found_object(identity), comparison.wanted_object(identity)
        details = comparison.details(wanted, found)
        if not details.keys() <= {"enabled", "comment"}:
            yield DropObjectOp(before, returns=True)
            yield CreateObjectOp(after)
            continue
        forward, backward = [], []
        if "enabled" in details:
            was, will_be = details["enabled"]
            forward.append(switch(identity, will_be))
            backward.append(switch(identity, was))
        if "comment" in details:
            was, will_be = details["comment"]
            forward.append(comment_on("TRIGGER", on_table(identity), will_be))
            backward.append(comment_on("TRIGGER", on_table(identity), was))
        yield AlterObjectOp(before, after, forward, backward, details)
    for identity in comparison.in_the_way("trigger"):
        yield DropObjectOp(comparison.found_object(identity), returns=True)
        yield CreateObjectOp(comparison.wanted_object(identity))
    for item in comparison.missing("trigger"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("trigger"):
        yield DropObjectOp(item)


def compare_grants(comparison: Comparison) -> Iterator[ObjectOp]:
    """Grants that are missing, that differ, and that nobody declares."""
    for identity, wanted, found in comparison.changed("grant"):
        yield AlterObjectOp(
            grant(identity, found, comparison.found),
            grant(identity, wanted, comparison.wanted),
            # Functions have got their owners by then, and keep them until this has been undone.
            privileges_changed(identity, found, wanted, comparison.wanted),
            privileges_changed(identity, wanted, found, comparison.wanted),
            comparison.details(wanted, found),
        )
    for item in comparison.missing("grant"):
        yield CreateObjectOp(item)
    for item in comparison.unwanted("grant"):
        yield DropObjectOp(item)


COMPARATORS: Final[Mapping[str, Callable[[Comparison], Iterable[ObjectOp]]]] = {
    "checks": compare_checks,
    "extensions": compare_extensions,
    "roles": compare_roles,
    "functions": compare_functions,
    "row_security": compare_row_security,
    "policies": compare_policies,
    "triggers": compare_triggers,
    "grants": compare_grants,
}
"""The comparator of each kind; `dbschema.autogenerate.KINDS` has their order."""

_INFO_KEY = "dbschema.comparison"


def _leave_out_notes(upgrade_ops: ops.UpgradeOps) -> None:
    """Take our own notes out of the tables' `info`, which Alembic would write into the revision."""
    for op in upgrade_ops.ops:
        if isinstance(op, ops.CreateTableOp) and op.info:
            op.info = {key: value for key, value in op.info.items() if key != DISTRIBUTION}


def run(name: str, autogen_context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> None:
    """Compare one kind, add what is to be done, and put everything in order.

    Args:
        name: a key of `COMPARATORS`; run a second time it does nothing.
        autogen_context, upgrade_ops: as Alembic gives them.
    """
    comparison: Comparison | None = upgrade_ops.info.get(_INFO_KEY)
    if comparison is None:
        _leave_out_notes(upgrade_ops)
        comparison = upgrade_ops.info[_INFO_KEY] = Comparison(autogen_context, upgrade_ops)
    if name in comparison.compared:
        return
    comparison.compared.add(name)
    for op in COMPARATORS[name](comparison):
        upgrade_ops.ops.append(op)
        identity = op.identity
        place = f" on {identity.table!r}" if identity.table not in {"", identity.name} else ""
        log.info("Detected %s %r%s to %s", identity.kind, identity.name, place, op.verb)
    operations.arrange(upgrade_ops)
