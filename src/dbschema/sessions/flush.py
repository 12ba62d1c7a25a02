"""Add the session's tenant to new objects and to the rows of ORM statements.

Objects and rows of another tenant are rejected before any SQL.
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
    """Return the attribute of a model that holds the tenant; None if its rows do not belong to tenants."""
    if issubclass(entity, TenantScoped):
        return "tenant_id"
    return "id" if issubclass(entity, TenantRoot) else None


def assign_tenant(instance: object, tenant_id: UUID) -> None:
    """Set the tenant of a new object that does not have one.

    Raises:
        ForeignTenant: the object has another tenant.
    """
    name = attribute(type(instance))
    if name is None:
        return
    state = instance_state(instance)
    tenants = _tenants(state, name)
    if not tenants and state.key is None:
        setattr(instance, name, tenant_id)
    for value in tenants:
        if not is_tenant(value, tenant_id):
            raise ForeignTenant(type(instance).__name__, value, tenant_id)


def check_stored(instance: object, tenant_id: UUID) -> None:
    """Check that the tenant of a stored object is unchanged.

    Raises:
        ForeignTenant: the object has another tenant.
    """
    name = attribute(type(instance))
    stored = tenant_id if name is None else instance_state(instance).dict.get(name, tenant_id)
    if not is_tenant(stored, tenant_id):
        raise tenant_changed(type(instance).__name__, stored, tenant_id)


def check_merge(instance: object, tenant_id: UUID) -> None:
    """Check that an object and the objects that are merged with it do not belong to another tenant.

    Raises:
        ForeignTenant: one of them does.
    """
    state = instance_state(instance)
    merged = [instance, *(other for other, *_ in state.mapper.cascade_iterator("merge", state))]
    for item in merged:
        name = attribute(type(item))
        for value in () if name is None else _tenants(instance_state(item), name):
            if not is_tenant(value, tenant_id):
                raise ForeignTenant(type(item).__name__, value, tenant_id)


def identity(entity: Any, ident: Any, tenant_id: UUID) -> Any:
    """Return the primary key for `ident`: adds the tenant to the id, if the key consists of both."""
    if isinstance(ident, (tuple, list)):
        return ident
    if isinstance(ident, dict):
        scoped = attribute(inspect(entity).mapper.class_) == "tenant_id"
        return {"tenant_id": tenant_id, **ident} if scoped else ident
    position = _tenant_position(entity)
    if position is None:
        return ident
    return (ident, tenant_id) if position else (tenant_id, ident)


@lru_cache(maxsize=512)
def _tenant_position(entity: Any) -> int | None:
    """Return the index of the tenant in the primary key of a model; None if the key is not tenant and id."""
    mapper = inspect(entity).mapper
    if not issubclass(mapper.class_, TenantScoped) or len(mapper.primary_key) != 2:
        return None
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    return keys.index("tenant_id") if "tenant_id" in keys else None


def is_tenant(value: object, tenant_id: UUID) -> bool:
    """Whether a value, a UUID or its text, is the id of this tenant."""
    return value == tenant_id or (not isinstance(value, UUID) and str(value).lower() == str(tenant_id))


def _tenants(state: InstanceState[Any], name: str) -> list[object]:
    """Return the tenants of an object, from its attribute and its identity, without a query."""
    tenants = [state.dict.get(name)]
    if state.key is not None:
        parts = zip(state.mapper.primary_key, state.key[1], strict=True)
        tenants += [part for column, part in parts if state.mapper.get_property_by_column(column).key == name]
    return [value for value in tenants if value is not None]


def add_tenant(state: ORMExecuteState, statement: Any, tenant_id: UUID) -> Any:
    """Add the tenant to the rows of an INSERT, or of an UPDATE by key; return the statement.

    INSERT … SELECT stays unchanged: it names its columns, and the policy checks its rows.

    Raises:
        ForeignTenant: a row has another tenant.
    """
    mapper = state.bind_mapper
    name = None if mapper is None else attribute(mapper.class_)
    if mapper is None or name is None:
        return statement
    filled = partial(complete, entity=mapper.class_, tenant_id=tenant_id)
    parameters: Any = state.parameters
    if isinstance(parameters, (list, tuple)):
        state.parameters = [filled(row) for row in parameters]
    elif parameters is not None and _row_value(parameters, name) is not None:
        state.parameters = filled(parameters)
    elif statement.select is not None:
        return statement
    elif rows_of_values(statement):
        return _with_rows(statement, filled)
    else:
        row = values_of(statement)
        filled(row)  # raises ForeignTenant
        if _row_value(row, name) is None:
            return statement.values({name: tenant_id})
    return statement


def complete(row: Mapping[Any, Any], entity: type[object], tenant_id: UUID) -> dict[Any, Any]:
    """Return `row` with the tenant, if the table has one and the row does not.

    Raises:
        ForeignTenant: the row has another tenant.
    """
    name = attribute(entity)
    if name is None:
        return dict(row)
    value = _row_value(row, name)
    if value is None:
        return {**{key: other for key, other in row.items() if _name(key) != name}, name: tenant_id}
    # The policy checks the value of an SQL expression.
    if not isinstance(value, ClauseElement) and not is_tenant(value, tenant_id):
        raise ForeignTenant(entity.__name__, value, tenant_id)
    return dict(row)


def _with_rows(statement: Any, complete: Callable[[Any], dict[Any, Any]]) -> Any:
    """Complete each of the rows after VALUES."""
    return replace_rows(statement, ([complete(row) for row in rows] for rows in rows_of_values(statement)))


def _row_value(row: Mapping[Any, Any], name: str) -> object:
    """Return the value of a column in a row; None if the row does not have it."""
    for key, value in row.items():
        if _name(key) == name:
            return value.value if isinstance(value, BindParameter) else value
    return None


def _name(key: object) -> object:
    """Return the name of a column, from a name or a column."""
    return getattr(key, "key", key)
