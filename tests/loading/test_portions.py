"""Large loads are written in portions, which nobody can tell from one statement but by the time they take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from dbschema import async_bulk_load, bulk_load
from dbschema.loading import BadRows, staging, transfer
from dbschema.loading.errors import WrongCall
from dbschema.loading.target import find
from dbschema.models import Incident, Order

from .conftest import MINE, act, make_tenants

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import Session

SECRET = "a-value-that-belongs-to-somebody"
GOOD = {"domain_id": "d"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows are a portion."""
    monkeypatch.setattr(transfer, "PORTION", 3)


def incidents(count: int) -> list[dict[str, Any]]:
    return [{**GOOD, "title": str(number)} for number in range(1, count + 1)]


def orders(*numbers: str) -> list[dict[str, Any]]:
    return [{"order_number": number, "total_amount": 1, "customer_email": "a@b.c"} for number in numbers]


def statements(session: Session, model: Any = Incident) -> int:
    """By how many statements the rows were written: each is a subtransaction."""
    return session.scalar(text(f"SELECT count(DISTINCT xmin::text) FROM {model.__tablename__}")) or 0


def refused(session: Session, rows: Any, model: Any = Incident, **options: Any) -> BadRows:
    with pytest.raises(BadRows) as raised:
        bulk_load(session, model, rows, **{"block": 1, **options})

    shown: BaseException | None = raised.value
    while shown is not None:  # what a traceback would print
        assert SECRET not in str(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    assert session.scalar(select(func.count()).select_from(model)) == 0
    return raised.value


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 30])
@pytest.mark.parametrize("block", [1, 2, 5])
def test_every_row_arrives_once(session: Session, count: int, block: int) -> None:
    loaded = bulk_load(session, Incident, incidents(count), block=block)

    titles = session.scalars(select(Incident.title)).all()
    assert loaded.count == count
    assert sorted(map(int, filter(None, titles))) == list(range(1, count + 1))


def test_a_large_load_is_several_statements_and_a_small_one_is_one(session: Session) -> None:
    bulk_load(session, Incident, incidents(3), block=1)
    small = statements(session)
    bulk_load(session, Order, orders(*map(str, range(9))), block=1)

    assert (small, statements(session, Order)) == (1, 3)


def test_portions_grow_with_the_load(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a load of any size would have too many subtransactions for PostgreSQL to keep at hand."""
    monkeypatch.setattr(transfer, "_SHARE", 2)

    bulk_load(session, Incident, incidents(100), block=1)

    assert statements(session) < 12


def test_rows_that_lie_scattered_in_the_staging_table_arrive_as_well(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they would where a server fills gaps before it appends."""
    monkeypatch.setattr(staging, "_BEFORE_ALL", "(9999,1)")

    loaded = bulk_load(session, Incident, incidents(10), block=1)

    assert loaded.count == session.scalar(select(func.count()).select_from(Incident)) == 10


def test_rows_read_ahead_are_bounded_by_their_size(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PORTION", 20)
    monkeypatch.setattr(transfer, "AHEAD", 300)
    sent = 0
    ahead = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(100):
            ahead.append(number - sent)
            yield {**GOOD, "title": "t" * 99}

    def tell(progress: Any) -> None:
        nonlocal sent
        sent = progress.rows

    bulk_load(session, Incident, rows(), block=1, on_progress=tell)

    assert 1 < max(ahead) <= 4
    assert statements(session) == 5


def test_a_column_that_a_later_portion_brings_has_its_default_before(session: Session) -> None:
    rows = [GOOD] * 4 + [{**GOOD, "status": "closed", "structured_data": {"k": 1}}, GOOD] * 3

    bulk_load(session, Incident, rows, block=1)

    found = session.execute(
        select(Incident.status, Incident.structured_data, func.count()).group_by(
            Incident.status, Incident.structured_data
        )
    )
    assert {(row[0].value, str(row[1]), row[2]) for row in found} == {
        ("open", "{}", 7),
        ("closed", "{'k': 1}", 3),
    }


def test_bad_rows_of_all_portions_are_named(session: Session) -> None:
    rows = incidents(12)
    for number in (5, 8, 12):
        rows[number - 1] |= {"severity": 9, "title": SECRET}

    error = refused(session, rows)

    assert [str(problem) for problem in error.problems] == [
        f"row {number}: severity violates the check ck_incidents_severity" for number in (5, 8, 12)
    ]


def test_what_cannot_be_converted_is_still_looked_for_after_a_portion_was_refused(session: Session) -> None:
    rows = incidents(12)
    rows[1] |= {"severity": 9, "title": SECRET}
    rows[10] |= {"severity": "x"}

    error = refused(session, rows)

    assert [(problem.row, problem.reason) for problem in error.problems] == [(11, "is no whole number")]


def test_a_key_that_an_earlier_portion_has_is_named_with_its_row(session: Session) -> None:
    error = refused(session, orders("a", SECRET, "c", "d", "e", "f", "g", SECRET, "d", "d"), Order)

    assert [str(problem) for problem in error.problems] == [
        "row 8: has the same (tenant_id, order_number) as row 2 of the input",
        "row 9: has the same (tenant_id, order_number) as row 4 of the input",
        "row 10: has the same (tenant_id, order_number) as row 4 of the input",
    ]


def test_a_key_that_the_table_had_before_is_named_as_such(session: Session) -> None:
    bulk_load(session, Order, orders("old"))

    with pytest.raises(BadRows) as raised:
        bulk_load(session, Order, orders("a", "b", "c", "d", "e", "old", "a"), block=1)

    assert sorted(map(str, raised.value.problems)) == [
        "row 6: has the same (tenant_id, order_number) as an existing row",
        "row 7: has the same (tenant_id, order_number) as row 1 of the input",
    ]
    assert session.scalar(select(func.count()).select_from(Order)) == 1


def test_what_points_nowhere_is_named_in_any_portion(session: Session) -> None:
    rows = incidents(8)
    rows[6] |= {"created_by": uuid4()}

    assert [(p.row, p.column) for p in refused(session, rows).problems] == [(7, "created_by")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.integers(1, 12), max_size=20),
    severities=st.lists(st.sampled_from([1, 1, 1, 1, 1, 9]), min_size=20, max_size=20),
    portion=st.integers(1, 6),
)  # fmt: skip
def test_portions_tell_what_one_statement_tells(
    session: Session, numbers: list[int], severities: list[int], portion: int
) -> None:
    """Which is the first thing that is wrong may differ, as the order in which PostgreSQL looks does."""
    keys = [uuid4() for _ in range(13)]
    rows = [{**GOOD, "id": keys[n], "severity": s} for n, s in zip(numbers, severities, strict=False)]

    def outcome(size: int) -> set[int] | int:
        with session.begin_nested() as savepoint, pytest.MonkeyPatch.context() as patch:
            patch.setattr(transfer, "PORTION", size)
            try:
                return bulk_load(session, Incident, rows, block=1, max_problems=100).count
            except BadRows as error:
                return {problem.row for problem in error.problems}
            finally:
                savepoint.rollback()

    whole, parted = outcome(1_000), outcome(portion)

    twice = {place for place, n in enumerate(numbers, 1) if n in numbers[: place - 1]}
    bad = {place for place, s in enumerate(severities[: len(numbers)], 1) if s == 9}
    assert isinstance(whole, int) == isinstance(parted, int)
    if isinstance(parted, int):
        assert parted == whole == len(rows)
    else:
        assert parted in (bad, twice)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON incidents FOR EACH STATEMENT EXECUTE FUNCTION f()",
        "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON incidents FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON INSERT TO incidents DO ALSO NOTHING",
        "ALTER TABLE incidents ADD FOREIGN KEY (tenant_id, external) REFERENCES incidents (tenant_id, id)",
    ],
)
def test_a_table_that_could_tell_portions_apart_is_written_by_one_statement(
    connection: Connection, session: Session, change: str
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text("ALTER TABLE incidents ADD external uuid"))
    connection.execute(
        text(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF; RETURN NEW; END $$"
        )
    )
    connection.execute(text(change))
    act(connection, MINE)

    bulk_load(session, Incident, incidents(10), block=1)

    assert statements(session) == 1


def test_a_trigger_of_updates_alone_does_not_mind_portions(session: Session) -> None:
    """Such as the one for updated_at, which every table has."""
    bulk_load(session, Incident, incidents(9), block=1)

    assert statements(session) == 3


def test_an_update_is_one_statement_and_refuses_a_key_that_comes_twice(session: Session) -> None:
    error = refused(
        session, orders("a", "b", "c", "d", "e", "a"), Order, on_conflict="update", key=["order_number"]
    )

    assert [problem.row for problem in error.problems] == [6]


def test_ignored_rows_are_counted_over_all_portions(session: Session) -> None:
    bulk_load(session, Order, orders("b", "h"))

    loaded = bulk_load(session, Order, orders(*"abcdefghijaj"), block=1, on_conflict="ignore")

    assert (loaded.count, loaded.skipped) == (8, 4)


def test_rows_that_are_read_from_the_session_while_a_portion_is_written_are_an_error(
    session: Session,
) -> None:
    def rows() -> Iterator[Any]:
        yield from incidents(4)
        yield {"domain_id": session.scalar(text("SELECT 'd'"))}

    with pytest.raises(WrongCall, match="read from the session that loads them"):
        bulk_load(session, Incident, rows(), block=1)

    assert session.scalar(select(func.count()).select_from(Incident)) == 0


@pytest.mark.parametrize("last", [{"severity": 9}, {"severity": 1}])
def test_an_error_of_the_input_while_a_portion_is_written_comes_through(
    session: Session, last: dict[str, int]
) -> None:
    def rows() -> Iterator[Any]:
        yield from incidents(2)
        yield {**GOOD, **last, "title": SECRET}
        raise LookupError("the input has ended")

    with pytest.raises(LookupError) as raised:
        bulk_load(session, Incident, rows(), block=1)

    assert raised.value.__context__ is None
    assert bulk_load(session, Incident, incidents(7), block=1).count == 7


def test_a_statement_that_is_stopped_in_a_portion_is_no_fault_of_a_row(
    connection: Connection, session: Session
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text("ALTER TABLE incidents ADD CHECK (title <> '5' OR pg_sleep(60) IS NOT NULL)"))
    act(connection, MINE)
    connection.execute(text("SET LOCAL statement_timeout = '300ms'"))

    with pytest.raises(DBAPIError) as raised:
        bulk_load(session, Incident, incidents(12), block=1)

    connection.execute(text("SET LOCAL statement_timeout = 0"))
    assert getattr(raised.value.orig, "sqlstate", None) == "57014"
    assert session.scalar(select(func.count()).select_from(Incident)) == 0


def test_a_connection_that_dies_while_a_portion_is_written_is_told_as_sqlalchemy_does(
    connection: Connection, session: Session
) -> None:
    pid = session.scalar(select(func.pg_backend_pid()))
    url = connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def rows() -> Iterator[Any]:
        yield from incidents(4)
        with psycopg.connect(url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
            while killer.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
                pass
        yield from incidents(20)

    with pytest.raises(DBAPIError) as raised:
        bulk_load(session, Incident, rows(), block=1)

    assert raised.value.connection_invalidated
    connection.close()


def test_a_server_that_ends_the_session_and_has_not_closed_it_yet_is_lost_too(session: Session) -> None:
    """The error of a statement then comes over a connection that still looks open."""

    class Ended(psycopg.errors.AdminShutdown):
        class diag:  # noqa: N801  as psycopg names it
            severity_nonlocalized = "FATAL"

    connection = session.connection()
    target = find(connection, Incident.__table__)

    error = staging.Staging(connection, target)._wrapped(Ended(), "INSERT")

    assert isinstance(error, DBAPIError)
    assert (error.connection_invalidated, connection.invalidated) == (True, True)


@pytest_asyncio.fixture
async def async_connection(shared_engine: Any) -> AsyncIterator[AsyncConnection]:
    """The same as `connection`, for psycopg's async one; all is rolled back."""
    engine = create_async_engine(shared_engine.url)
    async with engine.connect() as connection:
        await connection.run_sync(make_tenants)
        await connection.run_sync(act, MINE)
        yield connection
        await connection.rollback()
    await engine.dispose()


@pytest.mark.asyncio
async def test_an_async_load_is_in_portions_too(async_connection: AsyncConnection) -> None:
    async def rows() -> AsyncIterator[dict[str, Any]]:
        for row in incidents(10):
            await asyncio.sleep(0)
            yield row

    async with AsyncSession(async_connection) as session:
        with pytest.raises(BadRows, match="row 8: severity violates"):
            await async_bulk_load(
                session, Incident, [*incidents(7), {**GOOD, "severity": 9}, *incidents(3)], block=1
            )
        loaded = await async_bulk_load(session, Incident, rows(), block=1)

        assert loaded.count == 10
        assert await session.run_sync(statements) == 4


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_while_a_portion_is_written_loads_nothing(
    async_connection: AsyncConnection,
) -> None:
    begun = asyncio.Event()

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for row in incidents(4):
            yield row
        begun.set()
        await asyncio.Event().wait()

    async with AsyncSession(async_connection) as session:
        task = asyncio.create_task(async_bulk_load(session, Incident, rows(), block=1))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await session.scalar(select(func.count()).select_from(Incident)) == 0
