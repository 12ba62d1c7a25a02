"""Relationships over composite keys: the tenant is part of every join.

A query that joins on ids alone would leave the tenant to the policy, which does not route a query to a tenant's shard
and reads more than it needs. All relationships are `lazy="raise"`: what a query does not ask for is not loaded behind
its back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Relationship, relationship

# Several relationships of a row write its tenant_id, all the same value: the composite keys see to that.
_SHARED = "tenant,user,incident,order,conversation,session,images,fulfillments,messages,events,users,teams"


def belongs_to(
    owner: str, column: str, target: str, *, back_populates: str | None = None, optional: bool = False
) -> Relationship[Any]:
    """Many to one: `column` of `owner` holds the id of a `target` of the same tenant.

    Args:
        owner: the class that has the key.
        column: its attribute.
        target: the class it points to.
        back_populates: the collection on the other side.
        optional: the key may be NULL. Taking the other object away then empties `column` alone; for the rest, giving
            the other object also gives the tenant.
    """
    here = f"foreign({owner}.{column})"
    tenant = f"{owner}.tenant_id" if optional else f"foreign({owner}.tenant_id)"
    return relationship(
        target,
        primaryjoin=f"and_({tenant} == {target}.tenant_id, {here} == {target}.id)",
        back_populates=back_populates,
        lazy="raise",
        overlaps=_SHARED,
    )


def owns(
    owner: str, target: str, column: str, *, back_populates: str, order_by: str | None = None
) -> Relationship[Any]:
    """One to many: rows of `target` that go with their `owner`, in the database by cascade, in the ORM likewise.

    Args:
        owner: the class on the one side.
        target: the class that has the key.
        column: its attribute.
        back_populates: the many-to-one on the other side.
        order_by: attributes of `target`, comma-separated, as in `relationship(order_by=…)`.
    """
    return relationship(
        target,
        primaryjoin=(
            f"and_({owner}.tenant_id == foreign({target}.tenant_id), {owner}.id == foreign({target}.{column}))"
        ),
        back_populates=back_populates,
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=order_by or False,
        lazy="raise",
        overlaps=_SHARED,
    )
