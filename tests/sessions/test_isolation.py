"""Whatever sessions of many tenants do beside each other, each sees, counts and changes its own rows alone.

Random sequences of what applications do, and of what they should not, run in one thread turn by turn, in threads and in tasks
of asyncio, on fewer connections than there are tenants. After each step the session's view is compared with what it ought
to be; after each round a superuser looks at what is really there. A case is the sequence of one tenant, beside those of
the others.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from sqlalchemy.exc import ProgrammingError
from tests.sessions.actor import TENANTS, Actor, Script, Step, script, step

from dbschema.models import Tenant
from dbschema.sessions import (
    async_tenant_session,
    create_async_engine,
    create_engine,
    tenant_session,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 100
CASES = 700  # at least, each way; in some rounds of turns not everybody has one
# Tenants never wait for each other, and one thread would wait for itself.
MANY: dict[str, Any] = {
    "pool_size": len(TENANTS),
    "max_overflow": 0,
    "connect_args": {"options": "-c lock_timeout=2s"},
}
FEW: dict[str, Any] = {**MANY, "pool_size": 3, "pool_timeout": 60}
CONDITION = "item.tenant_id = tenant AND "


class World:
    """The tenants, with their first rows in the database, and a superuser who looks at it."""

    def __init__(self, place: Any, superuser: psycopg.Connection) -> None:
        self.place, self.superuser = place, superuser
        self.actors: list[Actor] = []

    def begin(self) -> list[Actor]:
        """Every tenant as it was at first."""
        self.actors = [Actor(number) for number in range(len(TENANTS))]
        rows = [(actor.tenant_id, *row) for actor in self.actors for row in actor.rows.items()]
        self.superuser.execute("DELETE FROM incidents WHERE tenant_id = ANY (%s)", [TENANTS])
        self.superuser.execute(
            "INSERT INTO incidents (tenant_id, id, title, domain_id)"
            " SELECT *, 'roads' FROM unnest(%s::uuid[], %s::uuid[], %s::text[])",
            [list(column) for column in zip(*rows, strict=True)],
        )
        return self.actors

    def end(self) -> None:
        """Compare what was committed."""
        found = self.superuser.execute(
            "SELECT tenant_id, id, title FROM incidents WHERE tenant_id = ANY (%s)", [TENANTS]
        ).fetchall()
        assert {(tenant, row): title for tenant, row, title in found} == {
            (actor.tenant_id, row): title for actor in self.actors for row, title in actor.committed.items()
        }


@contextmanager
def world_in(place: Any) -> Iterator[World]:
    engine = create_engine(place.url())
    for tenant_id in TENANTS:
        with tenant_session(engine, tenant_id) as session, session.begin():
            session.add(Tenant(tenant_name="One of many", slug=f"many{tenant_id.hex}"))
    engine.dispose()
    with psycopg.connect(place.superuser, autocommit=True) as superuser:
        yield World(place, superuser)


@pytest.fixture(scope="module")
def world(place: Any) -> Iterator[World]:
    with world_in(place) as world:
        yield world


@pytest.fixture
def other_world(place: Any, new_database: Callable[..., str]) -> Iterator[World]:
    """In a database of its own, which may be damaged."""
    superuser = new_database(migrated=True, driver="")
    with world_in(replace(place, superuser=superuser, database=superuser.rpartition("/")[2])) as world:
        yield world


Turns = list[tuple[int, Step]]
turns: st.SearchStrategy[Turns] = st.lists(
    st.tuples(st.integers(0, len(TENANTS) - 1), step), min_size=30, max_size=80
)
of_each = st.lists(script, min_size=len(TENANTS), max_size=len(TENANTS))


def in_rounds(
    rounds: int, strategy: st.SearchStrategy[Any], play: Callable[[Any], int], **options: Any
) -> int:
    """Play with random sequences; gives how many cases that were."""
    cases = 0

    @settings(
        max_examples=rounds,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
        **options,
    )
    @given(strategy)
    def played(given_to_it: Any) -> None:
        nonlocal cases
        cases += play(given_to_it)

    played()
    return cases


def turn_by_turn(world: World, rounds: int = ROUNDS, **options: Any) -> int:
    """In one thread, so that what fails once fails again and is made short."""
    engine = create_engine(world.place.url(), **MANY)

    def play(turns: Turns) -> int:
        actors = world.begin()
        sessions = [tenant_session(engine, actor.tenant_id) for actor in actors]
        try:
            for number, (name, chance) in turns:
                actors[number].step(sessions[number], name, chance)
        finally:
            for session in sessions:
                session.close()
        world.end()
        return len({number for number, _ in turns})

    try:
        return in_rounds(rounds, turns, play, **options)
    finally:
        engine.dispose()


def in_threads(world: World, rounds: int = ROUNDS, **options: Any) -> int:
    engine = create_engine(world.place.url(), **FEW)

    def perform(actor: Actor, script: Script) -> None:
        with tenant_session(engine, actor.tenant_id) as session:
            for name, chance in script:
                actor.step(session, name, chance)

    def play(scripts: list[Script]) -> int:
        # All of them end, also where one fails, before the next round begins.
        running = [pool.submit(perform, *pair) for pair in zip(world.begin(), scripts, strict=True)]
        for error in [one.exception() for one in running]:
            if error is not None:
                raise error
        world.end()
        return len(scripts)

    try:
        with ThreadPoolExecutor(len(TENANTS)) as pool:
            return in_rounds(rounds, of_each, play, **options)
    finally:
        engine.dispose()


def in_tasks(world: World, rounds: int = ROUNDS, **options: Any) -> int:
    async def perform(actor: Actor, script: Script) -> None:
        async with async_tenant_session(engine, actor.tenant_id) as session:
            for name, chance in script:
                await session.run_sync(actor.step, name, chance)

    async def all_of_them(actors: list[Actor], scripts: list[Script]) -> None:
        running = (perform(*pair) for pair in zip(actors, scripts, strict=True))
        for error in await asyncio.gather(*running, return_exceptions=True):
            if error is not None:
                raise error

    def play(scripts: list[Script]) -> int:
        loop.run(all_of_them(world.begin(), scripts))
        world.end()
        return len(scripts)

    with asyncio.Runner() as loop:
        engine = create_async_engine(world.place.url(), **FEW)
        try:
            return in_rounds(rounds, of_each, play, **options)
        finally:
            loop.run(engine.dispose())


each_way = pytest.mark.parametrize("way", [turn_by_turn, in_threads, in_tasks], ids=lambda way: way.__name__)


@each_way
def test_tenants_are_kept_apart(world: World, way: Callable[..., int]) -> None:
    cases = way(world)

    assert cases >= CASES


def a_policy_lets_all_through(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.superuser.execute("ALTER POLICY tenant_isolation ON incidents USING (true)")


def a_policy_lets_all_be_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.superuser.execute("ALTER POLICY tenant_isolation ON incidents WITH CHECK (true)")


def a_search_forgets_the_tenant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (definition,) = world.superuser.execute(
        "SELECT pg_get_functiondef('search_incidents_by_data'::regproc)"
    ).fetchone() or [""]
    assert CONDITION in definition
    world.superuser.execute(definition.replace(CONDITION, ""))


def a_connection_keeps_its_first_tenant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is said of a tenant were remembered with a connection of the pool."""
    execute = transaction._execute

    def first(session: Any, connection: Any, statements: str) -> None:
        execute(session, connection, connection.info.setdefault("first", statements))

    monkeypatch.setattr(transaction, "_execute", first)


SEEN = (AssertionError, pytest.fail.Exception)


@each_way
@pytest.mark.parametrize(
    ("damage", "errors"),
    [
        (a_policy_lets_all_through, SEEN),
        (a_policy_lets_all_be_written, SEEN),
        (a_search_forgets_the_tenant, SEEN),
        # The policies know of the first tenant only, and refuse what the second one writes.
        (a_connection_keeps_its_first_tenant, (*SEEN, ProgrammingError)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_leak_would_be_seen(
    other_world: World,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[..., int],
    damage: Callable[[World, pytest.MonkeyPatch], None],
    errors: tuple[type[BaseException], ...],
) -> None:
    damage(other_world, monkeypatch)

    with pytest.raises((*errors, Flaky)):
        way(other_world, phases=[Phase.generate], report_multiple_bugs=False)
