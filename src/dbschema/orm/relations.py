"""Relationships over composite keys: the tenant is part of every join.

A query that joins on ids alone would leave the tenant to the policy, which does not route a query to a tenant's shard
and reads more than it needs. All relationships are `lazy="raise"`: a query loads only what it names.

A relationship writes the id of the other row, never the tenant. If several relationships of a class wrote the tenant,
SQLAlchemy would report a conflict, and removing a parent would empty it. Instead, the tenant of the parent is copied
before the INSERT of a row without a tenant; at that point the parent is stored. An existing tenant is never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event, inspect
from sqlalchemy.orm import Mapper, Relationship, relationship

from dbschema.errors import BadRelationship

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import RelationshipProperty

_DECLARED: Final = "dbschema.orm.relations"


@dataclass(frozen=True, slots=True)
class _Declared:
    """The arguments of a relationship, kept in its `info`."""

    owner: str
    """The class that has the relationship."""

    needs: tuple[tuple[str, str], ...]
    """Classes of the join, each with an attribute that has to be a mapped column."""

    many: bool
    copies_tenant: bool


def belongs_to(
    owner: str, column: str, target: str, *, back_populates: str | None = None, optional: bool = False
) -> Relationship[Any]:
    """Many to one: `column` of `owner` holds the id of a `target` of the same tenant.

    A class may have several of them, also to the same class or to itself. Removing the other object empties `column`
    alone.

    Args:
        owner: the class that has the key.
        column: its attribute.
        target: the class it points to.
        back_populates: the collection on the other side.
        optional: the key may be NULL. If it may not, a new row without a tenant gets the tenant of the other object.
    """
    return relationship(
        target,
        primaryjoin=_join(owner, target, f"foreign({owner}.{column}) == remote({target}.id)"),
        back_populates=back_populates,
        lazy="raise",
        # A flush that deletes a subtree would load the parent of each row, which lazy="raise" forbids.
        passive_deletes=True,
        info={
            _DECLARED: _Declared(
                owner, ((owner, column), (target, "id")), many=False, copies_tenant=not optional
            )
        },
    )


def owns(
    owner: str, target: str, column: str, *, back_populates: str, order_by: str | None = None
) -> Relationship[Any]:
    """One to many: rows of `target` that go with their `owner`, in the database by cascade, in the ORM likewise.

    `target` may be the class itself: the children of a tree.

    Args:
        owner: the class on the one side.
        target: the class that has the key.
        column: its attribute.
        back_populates: the many-to-one on the other side.
        order_by: attributes of `target`, comma-separated, as in `relationship(order_by=…)`.
    """
    return relationship(
        target,
        primaryjoin=_join(owner, target, f"{owner}.id == remote(foreign({target}.{column}))"),
        back_populates=back_populates,
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=order_by or False,
        lazy="raise",
        info={_DECLARED: _Declared(owner, ((owner, "id"), (target, column)), many=True, copies_tenant=True)},
    )


def _join(owner: str, target: str, ids: str) -> str:
    # remote(): without it SQLAlchemy cannot tell the two sides of a class that points to itself.
    return f"and_({owner}.tenant_id == remote({target}.tenant_id), {ids})"


def _declared(mapper: Mapper[Any]) -> Iterator[tuple[RelationshipProperty[Any], _Declared]]:
    """The relationships that were made here for this class, without those that it inherits."""
    for declared in mapper.relationships:
        if declared.parent is mapper and isinstance(found := declared.info.get(_DECLARED), _Declared):
            yield declared, found


@event.listens_for(Mapper, "before_mapper_configured")
def _check(mapper: Mapper[Any], _cls: type[Any]) -> None:
    """Check the arguments of relationships, because SQLAlchemy's errors do not name the relationship.

    SQLAlchemy itself reports unknown classes: it also searches modules and other registries.

    Raises:
        BadRelationship: wrong owner, or missing column.
    """
    classes = {each.class_.__name__: each for each in mapper.registry.mappers}
    for relation, declared in _declared(mapper):
        place = f"{mapper.class_.__name__}.{relation.key}"
        owner = classes.get(_last(declared.owner))
        if owner is not None and not mapper.isa(owner):
            raise BadRelationship(
                place,
                f"its owner is {declared.owner}",
                f"Give the class that has the relationship: {mapper.class_.__name__!r}",
            )
        for name, column in ((name, each) for name, key in declared.needs for each in ("tenant_id", key)):
            found = mapper if name == declared.owner else classes.get(_last(name))
            if found is not None and column not in found.column_attrs:
                raise BadRelationship(
                    place,
                    f"{name} has no column {column!r}",
                    f"Name one of its columns: {', '.join(sorted(found.column_attrs.keys()))}",
                )


def _last(name: str) -> str:
    return name.rpartition(".")[2]


@event.listens_for(Mapper, "mapper_configured")
def _copy_tenants(mapper: Mapper[Any], _cls: type[Any]) -> None:
    for relation, declared in _declared(mapper):
        if declared.many:
            _copy_tenant(relation.mapper, relation.back_populates)
        elif declared.copies_tenant:
            _copy_tenant(mapper, relation.key)


def _copy_tenant(child: Mapper[Any], parent: str | None) -> None:
    """Copy the tenant of the object in the attribute `parent` to new rows of `child` that have none."""

    def copy(_mapper: Mapper[Any], _connection: Connection, target: Any) -> None:
        if target.tenant_id is None and (other := inspect(target).dict.get(parent)) is not None:
            target.tenant_id = other.tenant_id

    event.listen(child, "before_insert", copy, propagate=True)
