"""Rows are streamed: memory is bounded by the block, and loads beside each other do not meet."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dbschema import Loaded, async_bulk_load, bulk_load
from dbschema.loading import BadRows
from dbschema.models import Incident

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

TENANTS = [uuid4() for _ in range(3)]


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """A database of the test's own, where loads may commit."""
    engine = create_engine(database)
    with engine.begin() as connection:
        for tenant in TENANTS:
            connection.execute(
                text("INSERT INTO tenants (id, tenant_name, slug) VALUES (:id, 'T', :slug)"),
                {"id": tenant, "slug": tenant.hex},
            )
    yield engine
    engine.dispose()


@pytest_asyncio.fixture
async def async_engine(engine: Engine) -> AsyncIterator[AsyncEngine]:
    """The same database over psycopg's async connections."""
    made = create_async_engine(engine.url)
    yield made
    await made.dispose()


def acting(tenant: UUID) -> list[Any]:
    return [text("SET LOCAL ROLE dbschema_app"), text(f"SET LOCAL app.tenant_id = '{tenant}'")]


def load(engine: Engine, tenant: UUID, rows: Any, **options: Any) -> Loaded:
    with Session(engine) as session, session.begin():
        for statement in acting(tenant):
            session.execute(statement)
        return bulk_load(session, Incident, rows, **options)


def counts(engine: Engine) -> dict[UUID, int]:
    with engine.connect() as connection:
        found = connection.execute(select(Incident.tenant_id, func.count()).group_by(Incident.tenant_id))
        return dict(map(tuple, found.all()))


def test_the_client_holds_no_more_than_a_few_blocks(engine: Engine) -> None:
    """40 MB of rows, in blocks of 1 MB."""

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(4_000):
            yield {"domain_id": "d", "title": str(number), "raw_text": f"{number:010}" * 1_000}

    load(engine, TENANTS[0], rows(), block=100)  # what is imported and cached at first does not count
    tracemalloc.start()
    try:
        load(engine, TENANTS[0], rows(), block=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert counts(engine) == {TENANTS[0]: 8_000}
    assert peak < 8_000_000


def test_rows_are_read_while_they_are_sent(engine: Engine) -> None:
    """No more than two blocks ahead of what has been told as sent."""
    sent = 0
    ahead = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(1_000):
            ahead.append(number - sent)
            yield {"domain_id": "d"}

    def tell(progress: Any) -> None:
        nonlocal sent
        sent = progress.rows

    load(engine, TENANTS[0], rows(), block=10, on_progress=tell)

    assert max(ahead) <= 20


def test_loads_in_threads_do_not_meet(engine: Engine) -> None:
    """All are in the middle of their rows at the same time; those of one of them are wrong at the end."""
    together = threading.Barrier(len(TENANTS), timeout=60)

    def rows(tenant: UUID) -> Iterator[dict[str, Any]]:
        yield from ({"domain_id": str(tenant), "title": str(number)} for number in range(500))
        together.wait()
        yield from ({"domain_id": str(tenant), "title": str(number)} for number in range(500))
        yield {"domain_id": None if tenant == TENANTS[2] else str(tenant)}

    def work(tenant: UUID) -> int | BaseException:
        try:
            return load(engine, tenant, rows(tenant), block=100).count
        except BadRows as error:
            return error

    with ThreadPoolExecutor(len(TENANTS)) as pool:
        done = list(pool.map(work, TENANTS))

    assert done[:2] == [1_001, 1_001]
    assert isinstance(done[2], BadRows)
    assert [problem.row for problem in done[2].problems] == [1_001]
    assert counts(engine) == {TENANTS[0]: 1_001, TENANTS[1]: 1_001}


def test_a_load_within_the_rows_of_another_has_a_session_of_its_own(engine: Engine) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"domain_id": "outer"}
        load(engine, TENANTS[1], [{"domain_id": "inner"}])
        yield {"domain_id": "outer"}

    load(engine, TENANTS[0], rows(), block=1)

    assert counts(engine) == {TENANTS[0]: 2, TENANTS[1]: 1}


def test_what_a_caller_rolls_back_is_gone(engine: Engine) -> None:
    with Session(engine) as session:
        for statement in acting(TENANTS[0]):
            session.execute(statement)
        bulk_load(session, Incident, [{"domain_id": "d"}])
        session.rollback()

    assert counts(engine) == {}


@pytest.mark.asyncio
async def test_loads_in_tasks_do_not_meet(engine: Engine, async_engine: AsyncEngine) -> None:
    """Rows of async generators, each waiting until all the others are in the middle of theirs as well."""
    waiting = 0
    everybody = asyncio.Event()

    async def rows(tenant: UUID) -> AsyncIterator[dict[str, Any]]:
        nonlocal waiting
        for number in range(300):
            yield {"domain_id": str(tenant), "title": str(number), "location": (7.0, 46.0)}
        waiting += 1
        if waiting == len(TENANTS):
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 60)
        yield {"domain_id": str(tenant), "severity": 9 if tenant == TENANTS[2] else 5}

    async def work(tenant: UUID) -> Loaded:
        async with AsyncSession(async_engine) as session, session.begin():
            for statement in acting(tenant):
                await session.execute(statement)
            return await async_bulk_load(session, Incident, rows(tenant), block=100)

    done = await asyncio.gather(*map(work, TENANTS), return_exceptions=True)

    assert done[:2] == [Loaded("incidents", 301)] * 2
    assert isinstance(done[2], BadRows)
    assert [str(problem) for problem in done[2].problems] == [
        "row 301: severity violates the check ck_incidents_severity"
    ]
    assert counts(engine) == {TENANTS[0]: 301, TENANTS[1]: 301}


@pytest.mark.asyncio
async def test_an_async_session_goes_on_after_a_failure(async_engine: AsyncEngine) -> None:
    async with AsyncSession(async_engine) as session, session.begin():
        for statement in acting(TENANTS[0]):
            await session.execute(statement)
        for wrong in ({"severity": "x"}, {"severity": 9}, {"title": "no domain"}):
            with pytest.raises(BadRows, match="row 2"):
                await async_bulk_load(session, Incident, [{"domain_id": "d"}, wrong], block=1)

        loaded = await async_bulk_load(session, Incident, [{"domain_id": "d"}])

        assert loaded.count == 1
        assert await session.scalar(select(func.count()).select_from(Incident)) == 1


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_loads_nothing(engine: Engine, async_engine: AsyncEngine) -> None:
    begun = asyncio.Event()

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for _ in range(10):
            yield {"domain_id": "d"}
        begun.set()
        await asyncio.Event().wait()

    async def work() -> None:
        async with AsyncSession(async_engine) as session, session.begin():
            for statement in acting(TENANTS[0]):
                await session.execute(statement)
            await async_bulk_load(session, Incident, rows(), block=5)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert counts(engine) == {}
