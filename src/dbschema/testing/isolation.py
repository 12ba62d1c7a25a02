"""Tenants of a test, and sessions that act for them within the test's transaction.

Asks a model whether it keeps tenants apart: the questions of `dbschema verify`, as an assertion of one test.
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
    """Write a tenant of a name that no other has, as that tenant; gives its id."""
    tenant = UUID(str(uuid7()))
    with as_tenant(connection, tenant) as session:
        _add_tenant(session, tenant)
        session.commit()
    return tenant


def as_tenant(connection: Connection, tenant_id: UUID | str) -> TenantSession:
    """A session of a tenant in the open transaction of `connection`, which has back role and tenant when it is closed."""
    return tenant_session(connection, tenant_id, **_NESTED)


@contextlib.asynccontextmanager
async def as_tenant_async(url: str) -> AsyncIterator[AsyncTenantSession]:
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


def assert_isolated(model: type[DeclarativeBase], connection: Connection) -> None:
    """Ask, as the application's role: can a tenant see, insert, update, take over or delete another tenant's row, and what
    if no tenant is set? And, so that a table that refuses everything does not pass: does it see its own?

    Rows of two made-up tenants are written into the model's table and those that it points to, and rolled back.

    Args:
        model: a mapped class with `tenant_id`.
        connection: in a transaction, such as the fixture `db_connection`.

    Raises:
        AssertionError: names each way in which a row was reached, or why that could not be tried.
    """
    table = inspect(model).local_table
    tables = _with_targets(table)  # type: ignore[arg-type]  # a declarative model's is a Table
    with savepoint(connection):
        try:
            stage = TwoTenantFixture(connection, tables, take_role(connection, tables))
            stage.set_up()
            reached = []
            for what, question in isolation.QUESTIONS:
                with savepoint(connection):
                    if question(stage, table):  # type: ignore[arg-type]  # as above
                        reached.append(what)
        except Unmet as error:
            raise AssertionError(f"{model.__name__}: isolation could not be tried: {error}") from error
    assert not reached, f"{model.__name__} does not keep tenants apart: {'; '.join(reached)}"  # noqa: S101  what it is for


def _with_targets(table: Table) -> list[Table]:
    """`table` and all that its foreign keys lead to, targets first."""
    found: set[Table] = set()
    waiting = [table]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(key.referred_table for key in one.foreign_key_constraints)
    return [one for one in table.metadata.sorted_tables if one in found]
