"""A session says who acts and from where, in each of its transactions and in nothing else; the audit log names them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import MetaData, NullPool, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped

from dbschema.models import AuditLog
from dbschema.orm.mixins import Audited, TenantScoped
from dbschema.sessions import (
    async_operator_session,
    async_tenant_session,
    create_async_engine,
    operator_session,
    tenant_session,
)
from dbschema.sessions import create_engine as create_pooled_engine
from dbschema.sessions.errors import BadIdentity
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from dbschema.sessions import TenantSession

STANDING = text(
    "SELECT current_setting('app.user_id', true), current_setting('app.ip_address', true), current_user::text"
)
NOBODY = (None, None)
TEXT = "0192d4e0-7b1a-7000-8000-000000000000"


class Own(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Note(Audited, TenantScoped, Own):
    __tablename__ = "session_notes"
    __tenant_reference__: ClassVar[None] = None

    words: Mapped[str]


@pytest.fixture(scope="module", autouse=True)
def notes(place: Any) -> None:
    """The audited table, in the database of this worker's tests of sessions."""
    engine = create_engine(
        place.superuser.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
    )
    Own.metadata.create_all(engine)


def said(session: Any) -> tuple[str | None, str | None]:
    user, address, _ = session.execute(STANDING).one()
    return user or None, address or None


def recorded(session: Any) -> list[tuple[UUID | None, Any]]:
    return [tuple(row) for row in session.execute(select(AuditLog.user_id, AuditLog.ip_address))]


def test_rows_of_an_audited_model_name_the_user_and_the_address(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id, user_id=mine.user, ip_address="192.0.2.7") as session:
        note = Note(words="a")
        session.add(note)
        session.commit()
        note.words = "b"
        session.commit()

        assert (session.user_id, session.ip_address) == (mine.user, IPv4Address("192.0.2.7"))
        assert recorded(session) == [(mine.user, IPv4Address("192.0.2.7"))] * 2


def test_who_is_a_user_of_another_tenant_is_nobody_in_the_log(engine: Engine, mine: Any, theirs: Any) -> None:
    with tenant_session(engine, mine.id, user_id=theirs.user) as session:
        session.add(Note(words="a"))
        session.flush()

        assert recorded(session) == [(None, None)]


def test_they_are_said_after_commit_rollback_savepoint_and_error(engine: Engine) -> None:
    user = uuid4()
    expected = (str(user), "2001:db8::1")

    with tenant_session(
        engine, uuid4(), user_id=str(user).upper(), ip_address=IPv6Address("2001:db8::1")
    ) as session:
        assert said(session) == expected
        session.commit()
        assert said(session) == expected
        session.rollback()
        session.begin_nested().rollback()
        assert said(session) == expected
        with pytest.raises(DBAPIError):
            session.execute(text("SELECT 1 / 0"))
        session.rollback()
        assert said(session) == expected


LEAVING: dict[str, Callable[[TenantSession], object]] = {
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "nothing": lambda session: None,
    "savepoint": lambda session: session.begin_nested(),
}


@pytest.mark.parametrize("leaving", LEAVING.values(), ids=LEAVING)
def test_a_pooled_connection_carries_neither_user_nor_address_on(
    engine: Engine, mine: Any, leaving: Callable[[TenantSession], object]
) -> None:
    """The pool has one connection, so the next session gets the same, and says nothing."""
    with tenant_session(engine, mine.id, user_id=mine.user, ip_address="192.0.2.7") as session:
        assert said(session) == (str(mine.user), "192.0.2.7")
        leaving(session)

    with tenant_session(engine, mine.id) as session:
        assert (session.user_id, session.ip_address) == NOBODY
        assert said(session) == NOBODY
        session.add(Note(words="a"))
        session.flush()
        assert recorded(session) == [(None, None)]


def traced(place: Any, folder: Path, **options: Any) -> tuple[int, bytes]:
    """Round trips of a transaction, and what was sent, as libpq traced it."""
    engine = create_pooled_engine(place.url(), poolclass=NullPool, pool_pre_ping=False)

    @event.listens_for(engine, "checkout")
    def trace(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.pgconn.trace(file.fileno())

    with (folder / "trace").open("w+b") as file, tenant_session(engine, uuid4(), **options) as session:
        session.execute(text("SELECT 1"))
        driver: Any = session.connection().connection.driver_connection
        driver.pgconn.untrace()
        file.seek(0)
        sent = file.read()
    engine.dispose()
    return sent.count(b"ReadyForQuery"), sent


def test_they_are_said_in_the_round_trip_of_role_and_tenant_and_not_where_they_are_not_given(
    place: Any, tmp_path: Path
) -> None:
    trips, sent = traced(place, tmp_path)
    with_user, all_sent = traced(place, tmp_path, user_id=uuid4(), ip_address="192.0.2.7")

    assert with_user == trips
    assert (b"app.user_id" in sent, b"app.ip_address" in sent) == (False, False)
    assert (b"app.user_id" in all_sent, b"app.ip_address" in all_sent) == (True, True)


class Lying(UUID):
    def __str__(self) -> str:
        return "'; RESET ROLE; --"


class LyingAddress(IPv4Address):
    def __str__(self) -> str:
        return "'; RESET ROLE; --"


def test_what_stands_in_the_statement_is_made_from_numbers(engine: Engine) -> None:
    """A subclass may print itself as it likes, and the zone of an address is any text."""
    user = uuid4()
    zoned = IPv6Address("fe80::1%'; RESET ROLE; --")

    for address, expected in ((zoned, "fe80::1"), (LyingAddress("192.0.2.7"), "192.0.2.7")):
        with tenant_session(engine, uuid4(), user_id=Lying(int=user.int), ip_address=address) as session:
            assert tuple(session.execute(STANDING).one()) == (str(user), expected, "dbschema_app")


@pytest.mark.parametrize("given", ["", "nobody", "'; RESET ROLE; --", f" {TEXT}", f"{{{TEXT}}}", 7, b"x"])
def test_what_is_no_user_is_refused_before_any_connection(engine: Engine, given: Any) -> None:
    with pytest.raises(BadIdentity, match="is not the id of a user") as caught:
        tenant_session(engine, uuid4(), user_id=given)
    with pytest.raises(BadIdentity, match="is not the id of a user"):
        operator_session(engine, reason="ticket", user_id=given)

    assert caught.value.value == given


@pytest.mark.parametrize(
    "given",
    ["", "unknown", "192.0.2.7:80", "192.0.2.7, 192.0.2.8", " 192.0.2.7", "192.0.2.0/24", 7, b"\1\2\3\4"],
)
def test_what_is_no_address_is_refused_before_any_connection(engine: Engine, given: Any) -> None:
    with pytest.raises(BadIdentity, match="is not an IPv4 or IPv6 address") as caught:
        tenant_session(engine, uuid4(), ip_address=given)
    with pytest.raises(BadIdentity, match="is not an IPv4 or IPv6 address"):
        operator_session(engine, reason="ticket", ip_address=given)

    assert caught.value.value == given


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_a_connection_has_back_what_it_came_with(engine: Engine, end: str) -> None:
    outer, inner = uuid4(), uuid4()
    with engine.connect() as connection, connection.begin():
        connection.execute(
            text(f"SET LOCAL app.user_id = '{outer}'; SET LOCAL app.ip_address = 'an ''odd'' one'")
        )
        with tenant_session(
            connection,
            uuid4(),
            user_id=inner,
            ip_address="192.0.2.7",
            join_transaction_mode="create_savepoint",
        ) as session:
            assert said(session) == (str(inner), "192.0.2.7")
            getattr(session, end)()

        assert said(connection) == (str(outer), "an 'odd' one")


def test_a_connection_that_came_with_nobody_has_nobody_again(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        for user in (uuid4(), None):
            with tenant_session(
                connection, uuid4(), user_id=user, join_transaction_mode="create_savepoint"
            ) as session:
                assert said(session) == (str(user) if user else None, None)

        assert said(connection) == NOBODY


def test_an_operator_is_named_in_the_rows_of_the_tenant_whose_user_he_is(
    place: Any, mine: Any, theirs: Any
) -> None:
    engine = create_pooled_engine(place.url("operator"))

    with operator_session(engine, reason="ticket", user_id=mine.user, ip_address="192.0.2.7") as session:
        session.add_all([Note(tenant_id=customer.id, words="a") for customer in (mine, theirs)])
        session.flush()

        assert (session.user_id, str(session.ip_address)) == (mine.user, "192.0.2.7")
        found = session.execute(
            select(AuditLog.tenant_id, AuditLog.user_id).where(AuditLog.tenant_id.in_([mine.id, theirs.id]))
        )
        assert dict(tuple(row) for row in found) == {mine.id: mine.user, theirs.id: None}
    engine.dispose()


@pytest.mark.asyncio
async def test_the_same_under_asyncio(place: Any, async_engine: AsyncEngine, mine: Any) -> None:
    address: dict[str, Any] = {"user_id": mine.user, "ip_address": "192.0.2.7"}
    async with async_tenant_session(async_engine, mine.id, **address) as session:
        session.add(Note(words="a"))
        await session.commit()
        assert (session.user_id, str(session.ip_address)) == (mine.user, "192.0.2.7")
        assert await session.run_sync(recorded) == [(mine.user, IPv4Address("192.0.2.7"))]
    async with async_tenant_session(async_engine, mine.id) as session:
        assert await session.run_sync(said) == NOBODY

    desk = create_async_engine(place.url("operator"))
    async with async_operator_session(desk, reason="ticket", **address) as operator:
        assert await operator.run_sync(said) == (str(mine.user), "192.0.2.7")
        assert (operator.user_id, operator.ip_address) == (mine.user, IPv4Address("192.0.2.7"))
    await desk.dispose()
