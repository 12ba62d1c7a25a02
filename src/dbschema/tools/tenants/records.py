"""Creates a tenant with what it needs from its first day on.

Which tenants there are.

How many rows a tenant has, table by table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, make_transient_to_detached

from dbschema.ddl.tenancy import OPERATOR_ROLE
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
    no_such_tenant,
    no_transaction,
    state_of,
    tenant_exists,
    tenants_hidden,
    translating,
)
from dbschema.tools.tenants.session import become, same_role, scope_for, slug_and_name, take_role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine, MetaData, Table

    from dbschema.tools.tenants.scope import TenantTable


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


# For the operators' role a policy holds that hides nothing.
_HIDDEN = text(
    "SELECT row_security_active('tenants') AND pg_has_role(to_regrole(:operator), 'USAGE') IS NOT TRUE"
)


def list_tenants(engine: Engine) -> list[Tenant]:
    """All tenants by their slugs, as objects of no session.

    Raises:
        TenantsHidden: row security binds the role, which therefore sees none.
    """
    with Session(engine) as session, translating("tenants"):
        if session.scalar(_HIDDEN, {"operator": OPERATOR_ROLE.name}):
            raise tenants_hidden(str(session.scalar(select(func.current_user()))))
        found = list(session.scalars(select(Tenant).order_by(Tenant.slug)))
        session.expunge_all()
        return found


def find_tenant(engine: Engine, name: str | UUID) -> Tenant:
    """The tenant with this id or slug, as an object of no session.

    A role that is bound by row security finds it by its id only.

    Raises:
        NoSuchTenant: it is not there, or hidden.
    """
    key = _as_id(name)
    with Session(engine) as session, translating("tenants"):
        take_role(session.connection(), Tenant.__tablename__)
        if key is not None:
            become(session.connection(), Tenant.__tablename__, key)
        where = Tenant.slug == name if key is None else Tenant.id == key
        found = session.scalars(select(Tenant).where(where)).one_or_none()
        if found is None:
            raise no_such_tenant(name)
        session.expunge_all()
        return found


def _as_id(name: str | UUID) -> UUID | None:
    if isinstance(name, UUID):
        return name
    try:
        return UUID(name)
    except ValueError:
        return None


# ruff: noqa: S608  what is put together here are names of the metadata, quoted, and a UUID


def count_rows(engine: Engine, tenant_id: UUID | str, *, metadata: MetaData | None = None) -> dict[str, int]:
    """How many rows of the tenant each table has, in the order of their foreign keys, the table of tenants first.

    Raises:
        NoSuchTenant: it is not there, or hidden from the role.
        BadIdentity: `tenant_id` is no UUID.
    """
    scope, tenant = scope_for(metadata), exact(tenant_id)
    snapshot = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with snapshot as connection, connection.begin():
        become(connection, scope.root.sql, tenant)
        slug_and_name(connection, scope.root, tenant)
        return counts(connection, tenant, scope.tables)


def counts(connection: Connection, tenant: UUID, tables: Iterable[TenantTable]) -> dict[str, int]:
    """How many rows of `tenant` each of `tables` has."""
    found: dict[str, int] = {}
    for table in tables:
        with translating(table.name):
            found[table.name] = int(
                connection.scalar(text(f"SELECT count(*) FROM {table.sql} WHERE {table.of(tenant)}")) or 0
            )
    return found
