"""Tenants of a test, and sessions that act for them within the test's transaction."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import NullPool

from dbschema.orm.types import uuid7
from dbschema.sessions import (
    AsyncTenantSession,
    TenantSession,
    async_tenant_session,
    create_async_engine,
    tenant_session,
)
from dbschema.verify.behaviour.specimens import token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

_NESTED: dict[str, Any] = {"join_transaction_mode": "create_savepoint"}


def make_tenant(connection: Connection) -> UUID:
    """Write a tenant of a name that no other has, as that tenant; gives its id."""
    tenant = UUID(str(uuid7()))
    with acting(connection, tenant) as session:
        _add_tenant(session, tenant)
        session.commit()
    return tenant


def acting(connection: Connection, tenant_id: UUID | str) -> TenantSession:
    """A session of a tenant in the open transaction of `connection`, which has back role and tenant when it is closed."""
    return tenant_session(connection, tenant_id, **_NESTED)


@contextlib.asynccontextmanager
async def acting_async(url: str) -> AsyncIterator[AsyncTenantSession]:
    """A session of a new tenant on a connection of its own, in a transaction that is rolled back."""
    engine = create_async_engine(url, poolclass=NullPool)
    tenant = UUID(str(uuid7()))
    try:
        async with engine.connect() as connection, connection.begin() as transaction:
            async with async_tenant_session(connection, tenant, **_NESTED) as session:
                await session.run_sync(lambda sync: _add_tenant(sync, tenant))
                await session.commit()
                yield session
            if transaction.is_active:
                await transaction.rollback()
    finally:
        await engine.dispose()


def _add_tenant(session: Any, tenant: UUID) -> None:
    from dbschema.models import Tenant  # noqa: PLC0415  an application's own MetaData may have no such table

    name = token()
    session.add(Tenant(id=tenant, tenant_name=name, slug=name))
    session.flush()
