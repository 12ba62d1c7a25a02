"""Create tenants and their sessions within the transaction of a test, and assert the isolation of a model.

The assertion uses the isolation checks of `dbschema verify`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import NullPool, inspect

from dbschema.orm.types import uuid7
from dbschema.sessions import (
    AsyncTenantSession,
    TenantSession,
    async_tenant_session,
    create_async_engine,
    tenant_session,
)
from dbschema.verify.behaviour import isolation
from dbschema.verify.behaviour.fixture import TwoTenantFixture, take_role
from dbschema.verify.behaviour.samples import token
from dbschema.verify.report import Unmet, savepoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection, Table
    from sqlalchemy.orm import DeclarativeBase


_NESTED: dict[str, Any] = {"join_transaction_mode": "create_savepoint"}


def make_tenant(connection: Connection) -> UUID:
    """Write a tenant with a unique name, in a session of that tenant; return its id."""
    tenant = UUID(str(uuid7()))
    with as_tenant(connection, tenant) as session:
        _add_tenant(session, tenant)
        session.commit()
    return tenant


def as_tenant(connection: Connection, tenant_id: UUID | str) -> TenantSession:
    """Return a session of a tenant in the open transaction of `connection`; closing it restores role and tenant."""
    return tenant_session(connection, tenant_id, **_NESTED)


@contextlib.asynccontextmanager
async def as_tenant_async(url: str) -> AsyncIterator[AsyncTenantSession]:
    """Open a session of a new tenant on its own connection, in a transaction that is rolled back."""
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
    from dbschema.models import Tenant  # noqa: PLC0415  an application can use the other fixtures without our models

    name = token()
    session.add(Tenant(id=tenant, tenant_name=name, slug=name))
    session.flush()


def assert_isolated(model: type[DeclarativeBase], connection: Connection) -> None:
    """Assert that the application's role cannot see, insert, update, take over or delete a row of another tenant.

    It is also checked without a tenant. A tenant must see its own rows, so that a table that rejects everything fails too.
    The rows of two generated tenants are written into the model's table and the tables that it references, and rolled back.

    Args:
        model: a mapped class with `tenant_id`.
        connection: a connection in a transaction, such as the fixture `db_connection`.

    Raises:
        AssertionError: a row was reached, or the checks could not run; the message names each way or the reason.
    """
    table = inspect(model).local_table
    tables = _with_targets(table)  # type: ignore[arg-type]  # a declarative model has a Table
    with savepoint(connection):
        try:
            fixture = TwoTenantFixture(connection, tables, take_role(connection, tables))
            fixture.set_up()
            reached = []
            for description, check in isolation.QUESTIONS:
                with savepoint(connection):
                    if check(fixture, table):  # type: ignore[arg-type]  # as above
                        reached.append(description)
        except Unmet as error:
            raise AssertionError(f"{model.__name__}: isolation could not be checked: {error}") from error
    assert not reached, f"{model.__name__} does not keep tenants apart: {'; '.join(reached)}"  # noqa: S101  an assertion for tests


def _with_targets(table: Table) -> list[Table]:
    """Return `table` and all tables that its foreign keys lead to, referenced tables first."""
    reached: set[Table] = set()
    waiting = [table]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting.extend(key.referred_table for key in current.foreign_key_constraints)
    return [each for each in table.metadata.sorted_tables if each in reached]
