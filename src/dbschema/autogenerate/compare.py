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
    for identity, expected, actual in comparison.changed("constraint"):
        if {expected["type"], actual["type"]} != {"check"} or expected["definition"] == actual["definition"]:
            continue
        # Where the type of a column changes, PostgreSQL writes the condition anew by itself.
        if comparison.uses_retyped_column(identity, actual):
            continue
        before, after = _create_check_op(identity, actual), _create_check_op(identity, expected)
        if before is not None and after is not None:
            changes = comparison.changes_of(identity)
            changes.insert(0, ops.DropConstraintOp.from_constraint(before.to_constraint()))
            changes.append(after)
            log.info("Detected check %r on %r to modify", identity.name, identity.table)
    yield from ()


def _create_check_op(identity: Identity, attributes: Attributes) -> ops.CreateCheckConstraintOp | None:
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
    for identity, _, actual in comparison.changed("role"):
        after = comparison.expected_object(identity)
        configured = actual["settings"] if isinstance(actual["settings"], tuple) else ()
        missing_settings = [
            (name, value)
            for name, value in (after.settings if isinstance(after, Role) else ())
            if f"{name}={value}" not in configured
        ]
        if missing_settings and isinstance(after, Role):
            before = dict(setting.split("=", 1) for setting in configured)
            yield AlterObjectOp(
                comparison.actual_object(identity),
                after,
                [_set(identity.name, name, value) for name, value in missing_settings],
                [_set(identity.name, name, before.get(name)) for name, _ in missing_settings],
                {name: (before.get(name), value) for name, value in missing_settings},
            )


def _set(role: str, name: str, value: str | None) -> str:
    change = f"RESET {quote(name)}" if value is None else f"SET {quote(name)} = {sql_string(value)}"
    return f"ALTER ROLE {quote(role)} {change}"


_NOT_REPLACEABLE = frozenset({"arguments", "result", "window"})
"""What CREATE OR REPLACE does not change: names and defaults of arguments, the type of the result."""

_SEPARATE = frozenset({"comment", "owner"})
"""What is no part of CREATE FUNCTION."""


def compare_functions(comparison: Comparison) -> Iterator[ObjectOp]:
    """Functions that are missing, that differ, and that nobody declares."""
    for identity, expected, actual in comparison.changed("function"):
        if comparison.details(expected, actual).keys() & _NOT_REPLACEABLE:
            yield from _recreated(comparison, identity)
        else:
            yield _replaced(comparison, identity, expected, actual)
    for item in comparison.missing("function"):
        comparison.handled.update(_implied_grants(item))
        yield CreateObjectOp(item)
    for item in comparison.undeclared("function"):
        yield DropObjectOp(item)


def _replaced(
    comparison: Comparison, identity: Identity, expected: Attributes, actual: Attributes
) -> AlterObjectOp:
    before, after = comparison.actual_object(identity), comparison.expected_object(identity)
    details = comparison.details(expected, actual)
    forward: list[str] = []
    backward: list[str] = []
    if details.keys() - _SEPARATE:
        forward += _definition(after)
        backward += _definition(before)
    if "comment" in details:
        old, new = details["comment"]
        forward.append(comment_on("FUNCTION", signature(identity), new))
        backward.append(comment_on("FUNCTION", signature(identity), old))
    return AlterObjectOp(
        before,
        after,
        _as_owners(identity, actual["owner"], forward, expected["owner"]),
        _as_owners(identity, expected["owner"], backward, actual["owner"]),
        details,
    )


def _as_owners(
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


def _implied_grants(item: DatabaseObject) -> set[Identity]:
    """The grants that creating a function makes."""
    if not isinstance(item, Function):
        return set()
    _, schema, _, name = item.identity
    return {Identity("grant", schema, "", f"FUNCTION {name} TO {role}") for role in item.executable_by}


def _recreated(comparison: Comparison, identity: Identity) -> Iterator[ObjectOp]:
    """The function, and around it what PostgreSQL would not let it go without, or would let go with it."""
    for dependent in _dependents(comparison, identity):
        comparison.handled.add(dependent)
        yield DropObjectOp(comparison.actual_object(dependent), recreated=True)
    yield DropObjectOp(comparison.actual_object(identity), recreated=True)
    expected = comparison.expected_object(identity)
    yield CreateObjectOp(expected)
    implied = _implied_grants(expected)
    comparison.handled.update(implied)
    for dependent in _dependents(comparison, identity):
        if dependent in comparison.expected and dependent not in implied:
            yield CreateObjectOp(comparison.expected_object(dependent))


def _dependents(comparison: Comparison, identity: Identity) -> list[Identity]:
    """Triggers and policies that call the function, and grants on it.

    By the text of their definitions: one too many is dropped and created for nothing, in the same transaction.
    """
    actual = comparison.actual
    call = re.compile(rf"(?<!\w){re.escape(quote(identity.name.partition('(')[0]))}\(")
    callers = [
        item
        for kind in ("policy", "trigger")
        for item, attributes in actual.of(kind).items()
        if any(call.search(value) for value in attributes.values() if isinstance(value, str))
    ]
    return callers + [item for item in actual.of("grant") if actual.parents.get(item) == identity]


def compare_row_security(comparison: Comparison) -> Iterator[ObjectOp]:
    """Tables whose row security is switched otherwise than wanted; every table has an entry, most have it off."""
    for identity, expected, actual in comparison.changed("row security"):
        yield AlterObjectOp(
            row_security(identity, actual),
            row_security(identity, expected),
            _switched(identity, actual, expected),
            _switched(identity, expected, actual),
            comparison.details(expected, actual),
        )
    for item in comparison.missing("row security"):
        if item.create():
            yield CreateObjectOp(item)
    for item in comparison.undeclared("row security"):
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
    for identity, expected, actual in comparison.changed("policy"):
        before = cast("Policy", comparison.actual_object(identity))
        after = cast("Policy", comparison.expected_object(identity))
        if _needs_recreation(expected, actual) or comparison.has_changed_columns(identity):
            yield DropObjectOp(before, recreated=True)
            yield CreateObjectOp(after)
        else:
            details = comparison.details(expected, actual)
            forward, backward = _altered(identity, after, details), _altered(identity, before, details)
            yield AlterObjectOp(before, after, forward, backward, details)
    for identity in comparison.blocking_type_changes("policy"):
        yield DropObjectOp(comparison.actual_object(identity), recreated=True)
        yield CreateObjectOp(comparison.expected_object(identity))
    for item in comparison.missing("policy"):
        yield CreateObjectOp(item)
    for item in comparison.undeclared("policy"):
        yield DropObjectOp(item)


def _needs_recreation(expected: Attributes, actual: Attributes) -> bool:
    """Whether ALTER POLICY cannot do it: it changes neither the command nor the kind, and takes no condition away."""
    return any(expected[name] != actual[name] for name in ("command", "permissive")) or any(
        (expected[name] is None) != (actual[name] is None) for name in ("using", "check")
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
    for identity, expected, actual in comparison.changed("trigger"):
        before, after = comparison.actual_object(identity), comparison.expected_object(identity)
        details = comparison.details(expected, actual)
        if not details.keys() <= {"enabled", "comment"}:
            yield DropObjectOp(before, recreated=True)
            yield CreateObjectOp(after)
            continue
        forward, backward = [], []
        if "enabled" in details:
            old, new = details["enabled"]
            forward.append(switch(identity, new))
            backward.append(switch(identity, old))
        if "comment" in details:
            old, new = details["comment"]
            forward.append(comment_on("TRIGGER", on_table(identity), new))
            backward.append(comment_on("TRIGGER", on_table(identity), old))
        yield AlterObjectOp(before, after, forward, backward, details)
    for identity in comparison.blocking_type_changes("trigger"):
        yield DropObjectOp(comparison.actual_object(identity), recreated=True)
        yield CreateObjectOp(comparison.expected_object(identity))
    for item in comparison.missing("trigger"):
        yield CreateObjectOp(item)
    for item in comparison.undeclared("trigger"):
        yield DropObjectOp(item)


def compare_grants(comparison: Comparison) -> Iterator[ObjectOp]:
    """Grants that are missing, that differ, and that nobody declares."""
    for identity, expected, actual in comparison.changed("grant"):
        yield AlterObjectOp(
            grant(identity, actual, comparison.actual),
            grant(identity, expected, comparison.expected),
            # Functions have got their owners by then, and keep them until this has been undone.
            privileges_changed(identity, actual, expected, comparison.expected),
            privileges_changed(identity, expected, actual, comparison.expected),
            comparison.details(expected, actual),
        )
    for item in comparison.missing("grant"):
        yield CreateObjectOp(item)
    for item in comparison.undeclared("grant"):
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


def _remove_own_info(upgrade_ops: ops.UpgradeOps) -> None:
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
        _remove_own_info(upgrade_ops)
        comparison = upgrade_ops.info[_INFO_KEY] = Comparison(autogen_context, upgrade_ops)
    if name in comparison.finished:
        return
    comparison.finished.add(name)
    for op in COMPARATORS[name](comparison):
        upgrade_ops.ops.append(op)
        identity = op.identity
        place = f" on {identity.table!r}" if identity.table not in {"", identity.name} else ""
        log.info("Detected %s %r%s to %s", identity.kind, identity.name, place, op.verb)
    operations.arrange(upgrade_ops)
