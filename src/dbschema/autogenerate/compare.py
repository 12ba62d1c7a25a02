"""Compare the expected with the actual catalog: one comparator a kind, each yields operations."""

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
"""A CHECK as PostgreSQL prints it. One with options, such as NO INHERIT, does not match and is not compared."""


def compare_checks(comparison: Comparison) -> Iterator[ObjectOp]:
    """Replace CHECK constraints whose condition changes.

    Alembic compares CHECK constraints by name, and writes new and removed ones. The changed ones become Alembic's own
    operations on the table, so that later processing of constraints applies to them too.
    """
    for identity, expected, actual in comparison.changed("constraint"):
        if {expected["type"], actual["type"]} != {"check"} or expected["definition"] == actual["definition"]:
            continue
        # If the type of a column changes, PostgreSQL rewrites the condition itself.
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
    """Create missing extensions. Other extensions, and updates to a newer version, are the administrator's decision."""
    for item in comparison.missing("extension"):
        yield CreateObjectOp(item)


def compare_roles(comparison: Comparison) -> Iterator[ObjectOp]:
    """Create missing roles, and add missing settings to existing ones.

    A role belongs to the cluster. A role that only other databases use counts as missing here; its CREATE statement
    tolerates an existing role. Other roles, and other privileges and settings of a declared role, do not change.
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
"""Attributes that CREATE OR REPLACE cannot change: names and defaults of arguments, the type of the result."""

_SEPARATE = frozenset({"comment", "owner"})
"""Attributes that CREATE FUNCTION does not set."""


def compare_functions(comparison: Comparison) -> Iterator[ObjectOp]:
    """Create, change and drop functions: by CREATE OR REPLACE if possible, else by DROP and CREATE with their dependents."""
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
    """Execute `statements` as the owner of a function, then set the next owner; None: the current role is the owner."""
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
    """Return the grants that the creation of a function includes."""
    if not isinstance(item, Function):
        return set()
    _, schema, _, name = item.identity
    return {Identity("grant", schema, "", f"FUNCTION {name} TO {role}") for role in item.executable_by}


def _recreated(comparison: Comparison, identity: Identity) -> Iterator[ObjectOp]:
    """Drop and create a function together with its dependents, which prevent its drop or are dropped with it."""
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
    """Return the triggers and policies that call the function, and the grants on it.

    Found in the text of their definitions: a false match is dropped and created again in the same transaction.
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
    """Change row-level security (RLS): enabled, and forced (for the owner too). Each table has an entry, usually disabled."""
    for identity, expected, actual in comparison.changed("row-level security"):
        yield AlterObjectOp(
            row_security(identity, actual),
            row_security(identity, expected),
            _switched(identity, actual, expected),
            _switched(identity, expected, actual),
            comparison.details(expected, actual),
        )
    for item in comparison.missing("row-level security"):
        if item.create():
            yield CreateObjectOp(item)
    for item in comparison.undeclared("row-level security"):
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
    """Create, change and drop policies: by ALTER POLICY if possible, so that the table is never without them."""
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
    """Whether ALTER POLICY is not enough, in the upgrade or the downgrade.

    It changes neither the command nor the kind, and it cannot remove a condition.
    """
    return any(expected[name] != actual[name] for name in ("command", "permissive")) or any(
        (expected[name] is None) != (actual[name] is None) for name in ("using", "check")
    )


def _altered(identity: Identity, policy: Policy, changed: Collection[str]) -> list[str]:
    """Return the statements that set the changed attributes to those of `policy`."""
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
    """Create, change and drop triggers: by ALTER for the firing mode and the comment, else by DROP and CREATE."""
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
    """Grant and revoke privileges, by the difference of each grantee's privileges on each object."""
    for identity, expected, actual in comparison.changed("grant"):
        yield AlterObjectOp(
            grant(identity, actual, comparison.actual),
            grant(identity, expected, comparison.expected),
            # The owners of functions change before the upgrade of grants, and after their downgrade.
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
    """Remove the key of this package from the `info` of tables, which Alembic would write into the revision."""
    for op in upgrade_ops.ops:
        if isinstance(op, ops.CreateTableOp) and op.info:
            op.info = {key: value for key, value in op.info.items() if key != DISTRIBUTION}


def run(name: str, autogen_context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> None:
    """Compare one kind, add its operations to `upgrade_ops`, and sort all operations.

    Args:
        name: a key of `COMPARATORS`; a second run of the same kind does nothing.
        autogen_context, upgrade_ops: the arguments of Alembic's comparators.
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
