"""Policies: altered in their place where PostgreSQL can, so that there is no moment without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dbschema.autogenerate.operations import AlterObjectOp, CreateObjectOp, DropObjectOp
from dbschema.autogenerate.rebuilt import comment_on, on_table
from dbschema.ddl.base import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from dbschema.autogenerate.comparison import Comparison
    from dbschema.autogenerate.operations import ObjectOp
    from dbschema.catalog import Attributes
    from dbschema.ddl.row_security import Policy
    from dbschema.identity import Identity


def compare(comparison: Comparison) -> Iterator[ObjectOp]:
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
