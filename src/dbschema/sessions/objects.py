"""Objects that come into a session: new ones get its tenant, those of another are refused before any SQL."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import instance_state

from dbschema.orm.mixins import TenantRoot, TenantScoped
from dbschema.sessions.errors import ForeignTenant, tenant_changed

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState


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
