"""Work across tenants: by a role that is granted separately, with a reason, on record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.errors import SessionError
from dbschema.models import AuditLog, Incident, Tenant
from dbschema.sessions import (
    async_operator_session,
    create_async_engine,
    create_engine,
    operator_session,
    tenant_session,
)
from dbschema.sessions.errors import RoleNotTaken, TransactionControl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

LOGGER = "dbschema.sessions"


@pytest.fixture
def desk(place: Any) -> Iterator[Engine]:
    """The engine of an operator's login."""
    engine = create_engine(place.url("operator"), pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


def test_an_operator_sees_and_changes_the_rows_of_all_tenants(desk: Engine, mine: Any, theirs: Any) -> None:
    with operator_session(desk, reason="ticket 4711") as session, session.begin():
        assert {mine.id, theirs.id} <= set(session.scalars(select(Tenant.id)))
        for customer in (mine, theirs):
            session.get_one(Incident, (customer.id, customer.incidents[0])).title = "by an operator"

    with tenant_session(desk, theirs.id) as session:
        assert session.get_one(Incident, theirs.incidents[0]).title == "by an operator"
        assert set(session.scalars(select(Incident.tenant_id))) == {theirs.id}


def test_each_transaction_is_logged_with_login_role_and_reason(
    desk: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, LOGGER),
        operator_session(desk, reason="ticket 4711:\n two lines") as session,
    ):
        session.execute(text("SELECT 1"))
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        session.commit()
        session.execute(text("SELECT 1"))

    url = desk.url
    line = f"{url.username} works across the tenants of {url.database} as dbschema_operator: ticket 4711: two lines"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", line)] * 2
    assert session.reason == "ticket 4711: two lines"


@pytest.mark.parametrize("reason", ["", " \n\t"])
def test_there_must_be_a_reason(desk: Engine, reason: str) -> None:
    with pytest.raises(SessionError, match="needs a reason"):
        operator_session(desk, reason=reason)


@pytest.mark.parametrize("login", ["application", "stranger"])
def test_a_login_without_the_grant_is_refused_and_nothing_is_logged(
    place: Any, login: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(place.url(login))

    with (
        operator_session(engine, reason="curiosity") as session,
        pytest.raises(RoleNotTaken, match='GRANT "dbschema_operator"'),
    ):
        session.execute(text("SELECT 1"))

    assert not [record for record in caplog.records if record.name == LOGGER]
    engine.dispose()


def test_the_operators_login_has_nothing_by_itself(desk: Engine, mine: Any) -> None:
    """It does not inherit: what it may do across tenants, it may do in an operator's session only."""
    with Session(desk) as session, pytest.raises(DBAPIError, match="permission denied"):
        session.scalars(select(Incident)).all()


def test_the_role_does_not_outlive_the_transaction(desk: Engine, mine: Any) -> None:
    with operator_session(desk, reason="ticket 4711") as session:
        session.scalars(select(Incident)).all()

    with desk.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == desk.url.username


@pytest.mark.parametrize(
    "statement", ["COMMIT", "RESET ROLE", "SET app.user_id = 'x'", "SET app.tenant_id = 'x'"]
)
def test_text_that_would_end_the_transaction_or_outlive_it_is_refused(desk: Engine, statement: str) -> None:
    with operator_session(desk, reason="ticket 7") as session:
        with pytest.raises(TransactionControl):
            session.execute(text(statement))
        assert session.scalar(text("SELECT current_user::text")) == "dbschema_operator"


def test_an_operator_may_say_for_a_transaction_which_tenant_he_means(desk: Engine, mine: Any) -> None:
    with operator_session(desk, reason="ticket 7") as session:
        session.execute(text(f"SET LOCAL app.tenant_id = '{mine.id}'"))

        assert session.scalar(text("SELECT current_setting('app.tenant_id')")) == str(mine.id)


def test_an_operator_is_bound_by_what_binds_everybody(desk: Engine, mine: Any) -> None:
    """Audit rows are not changed, nor are tables."""
    with operator_session(desk, reason="ticket 4711") as session:
        for statement in ("UPDATE audit_logs SET action = 'x'", "TRUNCATE incidents", "DROP TABLE incidents"):
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), session.begin_nested():
                session.execute(text(statement))
        session.add(AuditLog(tenant_id=mine.id, action="seen", resource_type="incident"))
        session.flush()


@pytest.mark.asyncio
async def test_the_same_under_asyncio(
    place: Any, mine: Any, theirs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_async_engine(place.url("operator"))

    async with async_operator_session(engine, reason="ticket 4711") as session:
        found = set(await session.scalars(select(Tenant.id)))
        assert session.reason == "ticket 4711"

    await engine.dispose()
    assert {mine.id, theirs.id} <= found
    assert len(caplog.records) == 1


def test_a_session_of_a_tenant_does_not_take_the_operators_role(desk: Engine, mine: Any) -> None:
    with pytest.raises(SessionError, match="operator_session"):
        tenant_session(desk, mine.id, role=OPERATOR_ROLE.name)
