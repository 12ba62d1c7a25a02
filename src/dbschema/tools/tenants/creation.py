"""Creates a tenant with what it needs from its first day on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import make_transient_to_detached

from dbschema.models import Tenant
from dbschema.orm.types import uuid7
from dbschema.seeds import reference
from dbschema.seeds.writing import acting_for, all_or_nothing
from dbschema.sessions import TenantSession
from dbschema.sessions.errors import ForeignTenant
from dbschema.sessions.literals import exact
from dbschema.tools.tenants.errors import (
    UNIQUE_VIOLATION,
    bad_tenant,
    message_of,
    no_transaction,
    state_of,
    tenant_exists,
    translating,
)
from dbschema.tools.tenants.session import same_role, take_role

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Table
    from sqlalchemy.orm import Session

_REFUSED_VALUES = ("23514", "23502", "22001", "22021")


def create_tenant(
    bind: Session | Connection,
    name: str,
    slug: str,
    *,
    tenant_id: UUID | str | None = None,
) -> Tenant:
    """Create a tenant with its reference data, all or nothing.

    In a transaction that the caller has begun it is a savepoint of that one, and the caller commits; a session always
    has one. A connection without a transaction gets one of its own, which is committed.

    The tenant is set for these statements and put back afterwards, so that the application's role may do it too.

    Args:
        bind: of a superuser, the tables' owner, or a member of the application's role.
        name: as people read it.
        slug: unique among all tenants: up to 63 lower case letters, digits and hyphens.
        tenant_id: given, the call can be repeated: a tenant with this id and this slug is given back as it is, and what is
            missing of its reference data is added. None: that of a session of a tenant, else a new one, UUIDv7.

    Returns:
        The tenant: an object of the session, or of none where a connection was given.

    Raises:
        TenantExists: another tenant has the slug or the id.
        LifecycleError: the database refuses name or slug.
        BadIdentity: `tenant_id` is no UUID.
        ForeignTenant: `bind` is a session of another tenant.
        SeedError: the reference data does not fit the rows of the tenant.
        NoTransaction, NotMigrated, MissingPrivilege: the tenant or its reference data may not be written.
    """
    own = bind.tenant_id if isinstance(bind, TenantSession) else None
    key = (own or uuid7()) if tenant_id is None else exact(tenant_id)
    if own is not None and key != own:
        raise ForeignTenant(Tenant.__name__, key, own)
    connection = bind if isinstance(bind, Connection) else bind.connection()
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    with all_or_nothing(connection), same_role(connection), acting_for(connection, key):
        take_role(connection, Tenant.__tablename__)
        values = _find(connection, key)
        if values is None:
            values = _insert(connection, {"id": key, "tenant_name": name, "slug": slug})
        elif values["slug"] != slug:
            raise tenant_exists("id", key)
        reference.reference_for(connection, key)
    return _as_object(bind, values)


def _find(connection: Connection, tenant_id: UUID) -> dict[str, Any] | None:
    with translating("tenants"):
        found = connection.execute(select(cast("Table", Tenant.__table__)).where(Tenant.id == tenant_id))
        row = found.mappings().one_or_none()
    return None if row is None else dict(row)


def _insert(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    table = cast("Table", Tenant.__table__)
    with translating("tenants"):
        try:
            row = connection.execute(insert(table).values(values).returning(*table.columns)).mappings().one()
        except DBAPIError as error:
            if state_of(error) == UNIQUE_VIOLATION:
                raise tenant_exists("slug", values["slug"]) from error
            if state_of(error) in _REFUSED_VALUES:
                raise bad_tenant(message_of(error)) from error
            raise
    return dict(row)


def _as_object(bind: Session | Connection, values: dict[str, Any]) -> Tenant:
    tenant = Tenant(**values)
    make_transient_to_detached(tenant)
    if isinstance(bind, Connection):
        return tenant
    return bind.merge(tenant, load=False)
