"""The same promises under asyncio, and two tenants at once in tasks of one loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import load_only

from dbschema.errors import NoTransaction
from dbschema.models import AgentClass, AgentDefinition, Incident
from dbschema.sessions import AsyncTenantSession, TenantSession, async_tenant_session, create_async_engine
from dbschema.sessions.errors import BadIdentity, ForeignTenant, RoleNotTaken, TransactionControl

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

pytestmark = pytest.mark.asyncio
STANDING = text("SELECT current_user::text, current_setting('app.tenant_id', true)")


async def standing(session: Any) -> tuple[Any, ...]:
    return tuple((await session.execute(STANDING)).one())


async def test_role_and_tenant_stand_in_each_transaction(async_engine: AsyncEngine) -> None:
    tenant_id = uuid4()
    expected = ("dbschema_app", str(tenant_id))

    async with async_tenant_session(async_engine, str(tenant_id)) as session:
        assert isinstance(session, AsyncTenantSession)
        assert isinstance(session.sync_session, TenantSession)
        assert (session.tenant_id, session.role) == (tenant_id, "dbschema_app")
        for _ in range(8):  # more often than a statement is repeated before psycopg prepares it
            assert await standing(session) == expected
            await session.commit()
        async with session.begin_nested():
            assert await standing(session) == expected
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT 1 / 0"))
        await session.rollback()
        assert await standing(await session.connection()) == expected

    async with async_engine.connect() as connection:
        user, tenant = await standing(connection)
        assert (user, tenant or None) == (async_engine.url.username, None)


async def test_rows_are_written_read_and_kept_apart(
    async_engine: AsyncEngine, mine: Any, theirs: Any
) -> None:
    async with async_tenant_session(async_engine, mine.id) as session:
        async with session.begin():
            incident = Incident(domain_id="roads", title="third")
            session.add(incident)
            await session.flush()
            await session.execute(insert(Incident), [{"domain_id": "roads", "title": "fourth"}])
        # Objects do not expire on commit: reading this would need an await.
        assert (incident.tenant_id, incident.title) == (mine.id, "third")

        assert await session.scalar(select(func.count(Incident.id))) == 4
        assert await session.get(Incident, incident.id) is incident
        assert await session.get(Incident, theirs.incidents[0]) is None
        await session.refresh(incident)


@pytest.mark.parametrize("unloaded", [True, False], ids=["not loaded", "expired"])
async def test_a_version_that_is_not_there_to_be_compared_is_forged_in_vain(
    async_engine: AsyncEngine, mine: Any, unloaded: bool
) -> None:
    async with async_tenant_session(async_engine, mine.id) as session:
        session.add(
            AgentDefinition(agent_id="a", agent_name="A", agent_class=AgentClass.QUERY, system_prompt="p")
        )
        await session.commit()
        session.expunge_all()
        query = select(AgentDefinition).options(load_only(AgentDefinition.agent_name))
        agent = (await session.scalars(query if unloaded else select(AgentDefinition))).one()
        if not unloaded:
            session.expire(agent, ["version"])

        agent.version = 99
        await session.flush()
        agent.agent_name, agent.version = "B", 99
        await session.flush()

        assert agent.version == 2
        stored = await session.execute(select(AgentDefinition.agent_name, AgentDefinition.version))
        assert tuple(stored.one()) == ("B", 2)


async def test_what_the_other_refuses_is_refused(
    async_engine: AsyncEngine, place: Any, mine: Any, theirs: Any
) -> None:
    with pytest.raises(BadIdentity, match="is not the id of a tenant"):
        async_tenant_session(async_engine, "nobody")
    async with async_tenant_session(async_engine, mine.id) as session:
        with pytest.raises(ForeignTenant):
            session.add(Incident(tenant_id=theirs.id, domain_id="roads", title="x"))
        with pytest.raises(ForeignTenant):
            await session.merge(Incident(tenant_id=theirs.id, id=uuid4(), domain_id="roads", title="x"))
        with pytest.raises(TransactionControl):
            await session.execute(text("COMMIT"))
    async with async_tenant_session(async_engine, mine.id, role="dbschema_readonly") as session:
        with pytest.raises(RoleNotTaken):
            await session.execute(text("SELECT 1"))
        with pytest.raises(PendingRollbackError):
            await session.execute(text("SELECT 1"))
    engine = create_async_engine(place.url(), isolation_level="AUTOCOMMIT")
    async with async_tenant_session(engine, mine.id) as session:
        with pytest.raises(NoTransaction):
            await session.execute(text("SELECT 1"))
    await engine.dispose()


async def test_a_task_that_is_cancelled_leaves_a_connection_without_a_tenant(
    async_engine: AsyncEngine, mine: Any
) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with async_tenant_session(async_engine, mine.id) as session:
            await session.execute(select(Incident))
            begun.set()
            await session.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with async_engine.connect() as connection:
        user, tenant = await standing(connection)
        assert (user, tenant or None) == (async_engine.url.username, None)


async def test_tenants_in_tasks_of_one_loop_see_their_own(place: Any, mine: Any, theirs: Any) -> None:
    """Three connections for twelve tasks, which give way to each other in the middle of their transactions."""
    engine = create_async_engine(place.url(), pool_size=3, max_overflow=0)

    async def work(customer: Any) -> set[Any]:
        seen = set()
        async with async_tenant_session(engine, customer.id) as session:
            for _ in range(5):
                seen |= set(await session.scalars(select(Incident.tenant_id)))
                seen |= set(await session.scalars(text("SELECT tenant_id FROM incidents")))
                await asyncio.sleep(0)
                await session.commit()
        return seen

    customers = [mine, theirs] * 6
    found = await asyncio.gather(*map(work, customers))
    await engine.dispose()

    assert found == [{customer.id} for customer in customers]


async def test_a_session_on_a_connection_gives_role_and_tenant_back(
    async_engine: AsyncEngine, mine: Any
) -> None:
    async with async_engine.connect() as connection, connection.begin():
        async with async_tenant_session(
            connection, mine.id, join_transaction_mode="create_savepoint"
        ) as session:
            session.add(Incident(domain_id="roads", title="third"))
            await session.commit()

        assert await standing(connection) == (async_engine.url.username, "")
