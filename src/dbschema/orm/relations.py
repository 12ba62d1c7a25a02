"""Relationships over composite keys: the tenant is part of every join.

A join on ids alone would rely on the policy for the tenant: the query would not be routed to a tenant's shard, and would
read more rows than necessary. All relationships are `lazy="raise"`: a query loads only the relationships that it names.

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
    """The classes of the join, each with an attribute that must be a mapped column."""

    many: bool
    copies_tenant: bool


def belongs_to(
    owner: str, column: str, target: str, *, back_populates: str | None = None, optional: bool = False
) -> Relationship[Any]:
    """Return a many-to-one relationship: `column` of `owner` holds the id of a `target` of the same tenant.

    A class may have several of these relationships, also to the same class or to itself. Removing the related object
    sets only `column` to NULL.

    Args:
        owner: the class with the foreign key.
        column: the attribute of the foreign key.
        target: the referenced class.
        back_populates: the collection on the other side.
        optional: the key may be NULL. Otherwise, a new row without a tenant gets the tenant of the related object.
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
    """Return a one-to-many relationship: rows of `target` are deleted with their `owner`, by the database and the ORM.

    `target` may be the class itself: the children of a tree.

    Args:
        owner: the class on the one side.
        target: the class with the foreign key.
        column: the attribute of the foreign key.
        back_populates: the many-to-one relationship on the other side.
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
    # Without remote(), SQLAlchemy cannot distinguish the two sides of a class that references itself.
    return f"and_({owner}.tenant_id == remote({target}.tenant_id), {ids})"


def _declared(mapper: Mapper[Any]) -> Iterator[tuple[RelationshipProperty[Any], _Declared]]:
    """Yield the relationships of this class that were created here, without inherited relationships."""
    for relation in mapper.relationships:
        if relation.parent is mapper and isinstance(declared := relation.info.get(_DECLARED), _Declared):
            yield relation, declared


@event.listens_for(Mapper, "before_mapper_configured")
def _check(mapper: Mapper[Any], _cls: type[Any]) -> None:
    """Check the arguments of relationships, because SQLAlchemy's errors do not name the relationship.

    SQLAlchemy itself reports unknown classes: it also searches modules and other registries.

    Raises:
        BadRelationship: the owner is another class, or a column is missing.
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
            side = mapper if name == declared.owner else classes.get(_last(name))
            if side is not None and column not in side.column_attrs:
                raise BadRelationship(
                    place,
                    f"{name} has no column {column!r}",
                    f"Name one of its columns: {', '.join(sorted(side.column_attrs.keys()))}",
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
    """Copy the tenant of the object in the attribute `parent` to new rows of `child` without a tenant."""

    def copy(_mapper: Mapper[Any], _connection: Connection, target: Any) -> None:
        if target.tenant_id is None and (related := inspect(target).dict.get(parent)) is not None:
            target.tenant_id = related.tenant_id

    event.listen(child, "before_insert", copy, propagate=True)
