"""Objects that come into a session: new ones get its tenant, those of another are refused before any SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import inspect

from dbschema.mixins import TenantRoot, TenantScoped
from dbschema.sessions.errors import ForeignTenant, TenantChanged

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState

_UNSET: Final = object()


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
    state: InstanceState[Any] = inspect(instance)
    value = _value(state, name)
    if state.key is None and (value is _UNSET or value is None):
        setattr(instance, name, tenant_id)
    elif value is not _UNSET and not same(value, tenant_id):
        raise ForeignTenant(type(instance).__name__, value, tenant_id)


def check_stored(instance: object, tenant_id: UUID) -> None:
    """See that a stored object still has its tenant.

    Raises:
        TenantChanged: it has another.
    """
    name = attribute(type(instance))
    if name is not None and not same(inspect(instance).dict.get(name, tenant_id), tenant_id):
        raise TenantChanged(type(instance).__name__, inspect(instance).dict[name], tenant_id)


def check_merge(instance: object, tenant_id: UUID) -> None:
    """See that neither an object nor what is merged with it is another tenant's.

    Raises:
        ForeignTenant: one of them is.
    """
    state: InstanceState[Any] = inspect(instance)
    found = [instance, *(other for other, *_ in state.mapper.cascade_iterator("merge", state))]
    for each in found:
        name = attribute(type(each))
        value = None if name is None else _value(inspect(each), name)
        if value is not None and value is not _UNSET and not same(value, tenant_id):
            raise ForeignTenant(type(each).__name__, value, tenant_id)


def identity(entity: Any, ident: Any, tenant_id: UUID) -> Any:
    """The primary key that `ident` means: of a table whose key is tenant and id, the id alone will do."""
    mapper = inspect(entity).mapper
    if not issubclass(mapper.class_, TenantScoped):
        return ident
    if isinstance(ident, dict):
        return {"tenant_id": tenant_id, **ident}
    if isinstance(ident, (tuple, list)) or len(mapper.primary_key) != 2:
        return ident
    given = mapper.get_property_by_column(mapper.primary_key[0]).key == "tenant_id"
    return (tenant_id, ident) if given else (ident, tenant_id)


def same(value: object, tenant_id: UUID) -> bool:
    """Whether a value that an application wrote means this tenant."""
    return value == tenant_id or (not isinstance(value, UUID) and str(value).lower() == str(tenant_id))


def _value(state: InstanceState[Any], name: str) -> object:
    """The object's tenant without asking the database: its attribute, else its identity."""
    value = state.dict.get(name, _UNSET)
    if state.key is None:
        return value
    mapper = state.mapper
    for column, part in zip(mapper.primary_key, state.key[1], strict=True):
        if mapper.get_property_by_column(column).key == name:
            # Of the two, the one that tells: a stored object that was given away is another's all the same.
            return part if value is _UNSET else value
    return value
