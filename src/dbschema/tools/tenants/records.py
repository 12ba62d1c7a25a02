"""Create a tenant with its reference data, list and find tenants, and count the rows of a tenant."""

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


_REJECTED_VALUES = ("23514", "23502", "22001", "22021")


def create_tenant(
    bind: Session | Connection,
    name: str,
    slug: str,
    *,
    tenant_id: UUID | str | None = None,
) -> Tenant:
    """Create a tenant with its reference data, all or nothing.

    In an open transaction of the caller, the call uses a savepoint and the caller commits. A session always has a
    transaction. A connection without a transaction gets its own, which is committed.

    The tenant of the session is set for these statements and restored afterwards, so the application's role can create a
    tenant too.

    Args:
        bind: a session or connection as a superuser, the tables' owner, or a member of the application's role.
        name: the display name.
        slug: unique among all tenants: up to 63 lower case letters, digits and hyphens.
        tenant_id: the id; it makes the call idempotent: an existing tenant with this id and slug is returned unchanged, and
            missing reference data is added. None: the id of a tenant session, else a new UUIDv7.

    Returns:
        The tenant: an object of the session, or a detached object if `bind` is a connection.

    Raises:
        TenantExists: another tenant has the slug or the id.
        TenantsError: the database rejects the name or the slug.
        BadIdentity: `tenant_id` is not a UUID.
        ForeignTenant: `bind` is a session of another tenant.
        SeedError: the reference data conflicts with rows of the tenant.
        NoTransaction: the connection is in autocommit mode.
        NotMigrated, MissingPrivilege: a table is missing, or the role may not write it.
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
        rows = connection.execute(select(cast("Table", Tenant.__table__)).where(Tenant.id == tenant_id))
        row = rows.mappings().one_or_none()
    return None if row is None else dict(row)


def _insert(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    table = cast("Table", Tenant.__table__)
    with translating("tenants"):
        try:
            row = connection.execute(insert(table).values(values).returning(*table.columns)).mappings().one()
        except DBAPIError as error:
            if state_of(error) == UNIQUE_VIOLATION:
                raise tenant_exists("slug", values["slug"]) from error
            if state_of(error) in _REJECTED_VALUES:
                raise bad_tenant(message_of(error)) from error
            raise
    return dict(row)


def _as_object(bind: Session | Connection, values: dict[str, Any]) -> Tenant:
    tenant = Tenant(**values)
    make_transient_to_detached(tenant)
    if isinstance(bind, Connection):
        return tenant
    return bind.merge(tenant, load=False)


# The policy for the operators' role hides no rows.
_HIDDEN = text(
    "SELECT row_security_active('tenants') AND pg_has_role(to_regrole(:operator), 'USAGE') IS NOT TRUE"
)


def list_tenants(engine: Engine) -> list[Tenant]:
    """Return all tenants, sorted by slug, as detached objects.

    Raises:
        TenantsHidden: the role is bound by row-level security (RLS) and sees no tenants.
    """
    with Session(engine) as session, translating("tenants"):
        if session.scalar(_HIDDEN, {"operator": OPERATOR_ROLE.name}):
            raise tenants_hidden(str(session.scalar(select(func.current_user()))))
        tenants = list(session.scalars(select(Tenant).order_by(Tenant.slug)))
        session.expunge_all()
        return tenants


def find_tenant(engine: Engine, name: str | UUID) -> Tenant:
    """Return the tenant with this id or slug, as a detached object.

    A role bound by row-level security (RLS) finds a tenant by its id only.

    Raises:
        NoSuchTenant: the tenant does not exist, or is hidden from the role.
    """
    key = _as_id(name)
    with Session(engine) as session, translating("tenants"):
        take_role(session.connection(), Tenant.__tablename__)
        if key is not None:
            become(session.connection(), Tenant.__tablename__, key)
        condition = Tenant.slug == name if key is None else Tenant.id == key
        tenant = session.scalars(select(Tenant).where(condition)).one_or_none()
        if tenant is None:
            raise no_such_tenant(name)
        session.expunge_all()
        return tenant


def _as_id(name: str | UUID) -> UUID | None:
    if isinstance(name, UUID):
        return name
    try:
        return UUID(name)
    except ValueError:
        return None


# ruff: noqa: S608  the SQL contains only quoted names of the metadata and a UUID


def count_rows(engine: Engine, tenant_id: UUID | str, *, metadata: MetaData | None = None) -> dict[str, int]:
    """Count the rows of a tenant in each table, in the order of the foreign keys, the table of tenants first.

    Raises:
        NoSuchTenant: see `find_tenant`.
        BadIdentity: `tenant_id` is not a UUID.
    """
    scope, tenant = scope_for(metadata), exact(tenant_id)
    snapshot = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with snapshot as connection, connection.begin():
        become(connection, scope.root.sql, tenant)
        slug_and_name(connection, scope.root, tenant)
        return counts(connection, tenant, scope.tables)


def counts(connection: Connection, tenant: UUID, tables: Iterable[TenantTable]) -> dict[str, int]:
    """Count the rows of `tenant` in each of `tables`."""
    rows: dict[str, int] = {}
    for table in tables:
        with translating(table.name):
            rows[table.name] = int(
                connection.scalar(text(f"SELECT count(*) FROM {table.sql} WHERE {table.of(tenant)}")) or 0
            )
    return rows
