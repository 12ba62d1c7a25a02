"""Objects that come into a session: new ones get its tenant, those of another are refused before any SQL.

Rows that a statement of the ORM brings along: they get the tenant, and those of another are refused before any SQL.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BindParameter, ClauseElement, inspect
from sqlalchemy.orm.attributes import instance_state

from dbschema._sqlalchemy import replace_rows, rows_of_values, values_of
from dbschema.orm.mixins import TenantRoot, TenantScoped
from dbschema.sessions.errors import ForeignTenant, tenant_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import InstanceState, ORMExecuteState


def attribute(entity: type[object]) -> str | None:
    """The attribute of a model that names the tenant; None where its rows belong to none."""
    if issubclass(entity, TenantScoped):
        return "tenant_id"
    return "id" if issubclass(entity, TenantRoot) else None


def take_in(instance: object, tenant_id: UUID) -> None:
    """Give a new object the tenant, where it has none yet.

    Raises:
        ForeignTenant: it has another.
    """
    name = attribute(type(instance))
    if name is None:
        return
    state = instance_state(instance)
    found = _tenants(state, name)
    if not found and state.key is None:
        setattr(instance, name, tenant_id)
    for value in found:
        if not same(value, tenant_id):
            raise ForeignTenant(type(instance).__name__, value, tenant_id)


def check_stored(instance: object, tenant_id: UUID) -> None:
    """See that a stored object still has its tenant.

    Raises:
        ForeignTenant: it has another.
    """
    name = attribute(type(instance))
    stored = tenant_id if name is None else instance_state(instance).dict.get(name, tenant_id)
    if not same(stored, tenant_id):
        raise tenant_changed(type(instance).__name__, stored, tenant_id)


def check_merge(instance: object, tenant_id: UUID) -> None:
    """See that neither an object nor what is merged with it is another tenant's.

    Raises:
        ForeignTenant: one of them is.
    """
    state = instance_state(instance)
    found = [instance, *(other for other, *_ in state.mapper.cascade_iterator("merge", state))]
    for each in found:
        name = attribute(type(each))
        for value in () if name is None else _tenants(instance_state(each), name):
            if not same(value, tenant_id):
                raise ForeignTenant(type(each).__name__, value, tenant_id)


def identity(entity: Any, ident: Any, tenant_id: UUID) -> Any:
    """The primary key that `ident` means: of a table whose key is tenant and id, the id alone will do."""
    if isinstance(ident, (tuple, list)):
        return ident
    if isinstance(ident, dict):
        scoped = attribute(inspect(entity).mapper.class_) == "tenant_id"
        return {"tenant_id": tenant_id, **ident} if scoped else ident
    place = _place_of_tenant(entity)
    if place is None:
        return ident
    return (ident, tenant_id) if place else (tenant_id, ident)


@lru_cache(maxsize=512)
def _place_of_tenant(entity: Any) -> int | None:
    """Where the tenant stands in the primary key of a model; None where the key is not tenant and id."""
    mapper = inspect(entity).mapper
    if not issubclass(mapper.class_, TenantScoped) or len(mapper.primary_key) != 2:
        return None
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    return keys.index("tenant_id") if "tenant_id" in keys else None


def same(value: object, tenant_id: UUID) -> bool:
    """Whether a value that an application wrote means this tenant."""
    return value == tenant_id or (not isinstance(value, UUID) and str(value).lower() == str(tenant_id))


def _tenants(state: InstanceState[Any], name: str) -> list[object]:
    """Whose an object is, without asking the database: by its attribute and by its identity, as far as it has them."""
    found = [state.dict.get(name)]
    if state.key is not None:
        parts = zip(state.mapper.primary_key, state.key[1], strict=True)
        found += [part for column, part in parts if state.mapper.get_property_by_column(column).key == name]
    return [value for value in found if value is not None]


def keep(state: ORMExecuteState, statement: Any, tenant_id: UUID) -> Any:
    """Add the tenant to the rows of an INSERT, and of an UPDATE that finds its rows by their key; give the statement with them.

    INSERT … SELECT names its columns itself, and the policy looks at what it brings.

    Raises:
        ForeignTenant: a row has another.
    """
    mapper = state.bind_mapper
    name = None if mapper is None else attribute(mapper.class_)
    if mapper is None or name is None:
        return statement
    filled = partial(complete, entity=mapper.class_, tenant_id=tenant_id)
    parameters: Any = state.parameters
    if isinstance(parameters, (list, tuple)):
        state.parameters = [filled(row) for row in parameters]
    elif parameters is not None and _given(parameters, name) is not None:
        state.parameters = filled(parameters)
    elif statement.select is not None:
        return statement
    elif rows_of_values(statement):
        return _with_rows(statement, filled)
    else:
        row = values_of(statement)
        filled(row)  # raises where it must
        if _given(row, name) is None:
            return statement.values({name: tenant_id})
    return statement


def complete(row: Mapping[Any, Any], entity: type[object], tenant_id: UUID) -> dict[Any, Any]:
    """`row` with the tenant, where it says none and the table has one.

    Raises:
        ForeignTenant: it says another.
    """
    name = attribute(entity)
    if name is None:
        return dict(row)
    given = _given(row, name)
    if given is None:
        return {**{key: value for key, value in row.items() if _name(key) != name}, name: tenant_id}
    # What SQL will work out is left to the policy.
    if not isinstance(given, ClauseElement) and not same(given, tenant_id):
        raise ForeignTenant(entity.__name__, given, tenant_id)
    return dict(row)


def _with_rows(statement: Any, complete: Callable[[Any], dict[Any, Any]]) -> Any:
    """`statement` with several rows after VALUES, each completed."""
    return replace_rows(statement, ([complete(row) for row in rows] for rows in rows_of_values(statement)))


def _given(row: Mapping[Any, Any], name: str) -> object:
    """What a row says of a column; None where it says nothing."""
    for key, value in row.items():
        if _name(key) == name:
            return value.value if isinstance(value, BindParameter) else value
    return None


def _name(key: object) -> object:
    """The column's name, whether a row names it or holds it."""
    return getattr(key, "key", key)
