"""The tenant and the role stand in each transaction of a session, and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, event, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from dbschema.errors import NoTransaction
from dbschema.models import Incident
from dbschema.sessions import create_engine, tenant_session
from dbschema.sessions.errors import RoleNotTaken, TransactionControl

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

STANDING = text("SELECT current_user::text, current_setting('app.tenant_id', true)")


def standing(session: Any) -> tuple[Any, ...]:
    return tuple(session.execute(STANDING).one())


def test_the_tenant_and_the_role_are_set(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        assert (session.tenant_id, session.role) == (tenant_id, "dbschema_app")
        assert standing(session) == ("dbschema_app", str(tenant_id))


def test_they_stand_after_commit_rollback_savepoint_and_error(engine: Engine) -> None:
    tenant_id = uuid4()
    expected = ("dbschema_app", str(tenant_id))

    with tenant_session(engine, tenant_id) as session:
        session.execute(text("SELECT 1"))
        session.commit()
        assert standing(session) == expected
        session.rollback()
        assert standing(session) == expected
        with session.begin_nested():
            assert standing(session) == expected
        assert standing(session) == expected
        with pytest.raises(DBAPIError), session.begin_nested():
            session.execute(text("SELECT 1 / 0"))
        assert standing(session) == expected
        with pytest.raises(DBAPIError):
            session.execute(text("SELECT 1 / 0"))
        session.rollback()
        assert standing(session) == expected


def test_they_stand_when_a_savepoint_is_the_first_thing_and_is_rolled_back(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        session.begin_nested().rollback()

        assert standing(session) == ("dbschema_app", str(tenant_id))


def test_a_refresh_after_commit_finds_the_row(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = session.get_one(Incident, mine.incidents[0])
        session.commit()

        assert incident.title == "first"
        session.commit()
        session.refresh(incident)
        assert standing(session)[1] == str(mine.id)


def test_a_connection_of_the_session_has_them_too(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        assert standing(session.connection()) == ("dbschema_app", str(tenant_id))


def test_two_phase_transactions_have_them_and_are_finished_by_the_login(
    engine: Engine, mine: Any, superuser: Engine
) -> None:
    """The server in the tests keeps room for them: see conftest."""
    with tenant_session(engine, mine.id, twophase=True) as session:
        session.add(Incident(domain_id="roads", title="in two phases"))
        session.flush()
        assert standing(session) == ("dbschema_app", str(mine.id))
        session.prepare()
        session.commit()
        assert standing(session) == ("dbschema_app", str(mine.id))

    with superuser.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM incidents WHERE title = 'in two phases'"))
        assert count == 1


def test_nothing_is_committed_by_leaving(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        session.add(Incident(domain_id="roads", title="third"))
        session.flush()

    with tenant_session(engine, mine.id) as session:
        assert session.scalar(select(func.count()).select_from(Incident)) == 2


def test_a_block_of_begin_commits(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session, session.begin():
        session.add(Incident(domain_id="roads", title="third"))

    with tenant_session(engine, mine.id) as session:
        assert session.scalar(select(func.count()).select_from(Incident)) == 3


def test_role_and_tenant_take_one_round_trip(place: Any, tmp_path: Path) -> None:
    """As libpq traced it: a round trip ends when the server is ready for the next query."""
    engine = create_engine(place.url(), poolclass=NullPool, pool_pre_ping=False)

    @event.listens_for(engine, "checkout")
    def trace(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.pgconn.trace(file.fileno())

    trips = []
    for make in (lambda: Session(engine), lambda: tenant_session(engine, uuid4())):
        with (tmp_path / "trace").open("w+b") as file, make() as session:
            session.execute(text("SELECT 1"))
            driver: Any = session.connection().connection.driver_connection
            driver.pgconn.untrace()
            file.seek(0)
            trips.append(file.read().count(b"ReadyForQuery"))

    assert trips[1] == trips[0] + 1
    engine.dispose()


def fail(session: Session) -> None:
    with pytest.raises(DBAPIError):
        session.execute(text("SELECT 1 / 0"))


LEAVING = {
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "close": lambda session: session.close(),
    "nothing": lambda session: None,
    "error": fail,
    "savepoint": lambda session: session.begin_nested(),
    "invalidated": lambda session: session.invalidate(),
}


@pytest.mark.parametrize("leaving", LEAVING.values(), ids=LEAVING)
def test_a_pooled_connection_carries_neither_tenant_nor_role_on(
    engine: Engine, mine: Any, leaving: Any
) -> None:
    """The pool has one connection, so the next one to ask gets the same."""
    with tenant_session(engine, mine.id) as session:
        session.execute(select(Incident)).all()
        leaving(session)

    with engine.connect() as connection:
        user, tenant_id = standing(connection)
        assert (user, tenant_id or None) == (engine.url.username, None)


def test_a_session_without_a_tenant_sees_nothing_and_writes_nothing(engine: Engine, mine: Any) -> None:
    with Session(engine) as session:
        session.execute(text("SET LOCAL ROLE dbschema_app"))

        assert session.scalars(select(Incident)).all() == []
        session.add(Incident(tenant_id=mine.id, domain_id="roads", title="third"))
        with pytest.raises(DBAPIError, match="row-level security"):
            session.flush()


def test_the_login_alone_may_not_even_ask(engine: Engine, mine: Any) -> None:
    with Session(engine) as session, pytest.raises(DBAPIError, match="permission denied"):
        session.scalars(select(Incident)).all()


def test_a_connection_that_was_killed_in_the_pool_is_replaced(
    engine: Engine, mine: Any, superuser: Engine
) -> None:
    kill(engine, superuser)

    with tenant_session(engine, mine.id) as session:
        assert standing(session) == ("dbschema_app", str(mine.id))


def test_a_connection_that_dies_with_the_first_statement_is_an_error_of_sqlalchemy_and_leaves_no_trace(
    place: Any, mine: Any, superuser: Engine
) -> None:
    engine = create_engine(place.url(), pool_size=1, max_overflow=0, pool_pre_ping=False)
    kill(engine, superuser)

    with tenant_session(engine, mine.id) as session:
        with pytest.raises(OperationalError) as caught:
            session.scalars(select(Incident)).all()
        assert caught.value.connection_invalidated
        with pytest.raises(PendingRollbackError):
            session.scalars(select(Incident)).all()
        session.rollback()
        assert standing(session) == ("dbschema_app", str(mine.id))
    engine.dispose()


def test_a_connection_that_dies_in_the_middle_begins_anew_with_the_tenant(
    engine: Engine, mine: Any, superuser: Engine
) -> None:
    with tenant_session(engine, mine.id) as session:
        terminate(superuser, session.scalar(text("SELECT pg_backend_pid()")))
        with pytest.raises(OperationalError):
            session.scalars(select(Incident)).all()
        session.rollback()

        assert standing(session) == ("dbschema_app", str(mine.id))


def kill(engine: Engine, superuser: Engine) -> None:
    """End the server's side of the connection that lies in the pool."""
    with engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
    terminate(superuser, process)


def terminate(superuser: Engine, process: int | None) -> None:
    with superuser.connect() as connection:
        # Waits until it is gone, up to ten seconds.
        ended = connection.scalar(text("SELECT pg_terminate_backend(:process, 10000)"), {"process": process})
        assert ended


@pytest.mark.parametrize("how", ["engine", "option"])
def test_autocommit_is_refused_and_nothing_can_be_run_after_the_refusal(place: Any, how: str) -> None:
    """SET LOCAL would be void there, and a session that went on would work as the login itself."""
    autocommit: Any = {"isolation_level": "AUTOCOMMIT"}
    engine = create_engine(place.url(), **(autocommit if how == "engine" else {}))

    with tenant_session(engine, uuid4()) as session:
        with pytest.raises(NoTransaction, match="AUTOCOMMIT"):
            session.connection(execution_options=autocommit if how == "option" else None)
        with pytest.raises(PendingRollbackError):
            session.execute(text("SELECT 1"))

    engine.dispose()


def test_a_connection_in_autocommit_is_refused(engine: Engine) -> None:
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        tenant_session(connection, uuid4()) as session,
    ):
        with pytest.raises(NoTransaction):
            session.execute(text("SELECT 1"))
        with pytest.raises(PendingRollbackError):
            session.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    ("role", "step"),
    [
        ("dbschema_readonly", 'GRANT "dbschema_readonly" TO "sessions_'),
        ("nobody_of_that_name", "dbschema upgrade"),
    ],
)
def test_a_role_that_cannot_be_taken_is_told_and_nothing_can_be_run_after_it(
    engine: Engine, role: str, step: str
) -> None:
    with tenant_session(engine, uuid4(), role=role) as session:
        with pytest.raises(RoleNotTaken) as caught:
            session.execute(text("SELECT 1"))
        with pytest.raises(PendingRollbackError):
            session.execute(text("SELECT 1"))

    assert (caught.value.role, caught.value.user) == (role, engine.url.username)
    assert step in caught.value.next_step


def test_a_role_of_any_name_is_an_identifier(engine: Engine) -> None:
    with (
        tenant_session(engine, uuid4(), role='x"; RESET ROLE; --') as session,
        pytest.raises(RoleNotTaken, match="does not exist"),
    ):
        session.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "  end",
        "ROLLBACK",
        "rollback and chain",
        "ABORT",
        "BEGIN",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
        "DISCARD ALL",
        "RESET ROLE",
        "RESET ALL",
        "reset session authorization",
        "RESET app.tenant_id",
        "SET ROLE dbschema_operator",
        "SET LOCAL ROLE NONE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET app.tenant_id = '00000000-0000-0000-0000-000000000000'",
        "set local\n app.tenant_id TO ''",
        "/* why */ -- so\n COMMIT",
        "SET app.user_id = '00000000-0000-0000-0000-000000000000'",
        "SET SESSION app.user_id TO ''",
        "set app.ip_address = '192.0.2.7'",
        "SET app.unaudited_tenant = '00000000-0000-0000-0000-000000000000'",
        'SET "app" . "user_id" = x',
        'SET LOCAL "app".tenant_id = x',
        "RESET app.user_id",
        "RESET app.ip_address",
        "RESET app.unaudited_tenant",
    ],
)
def test_text_that_would_end_the_transaction_or_take_the_tenant_away_is_refused(
    engine: Engine, statement: str
) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        with pytest.raises(TransactionControl):
            session.execute(text(statement))
        assert standing(session) == ("dbschema_app", str(tenant_id))


@pytest.mark.parametrize(
    "statement",
    [
        "SAVEPOINT a",
        "SET LOCAL statement_timeout = 1000",
        "SET TRANSACTION READ ONLY",
        "SELECT 'COMMIT'",
        "RESET statement_timeout",
        # It ends with the transaction, as what the session itself says.
        "SET LOCAL app.user_id = '00000000-0000-0000-0000-000000000000'",
        "SET app.user_idea = 'x'",
        "RESET app.tenant_ids",
    ],
)
def test_other_text_is_not(engine: Engine, statement: str) -> None:
    with tenant_session(engine, uuid4()) as session:
        session.execute(text(statement))


def test_a_rollback_to_a_savepoint_in_text_keeps_the_tenant(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        session.execute(text("SAVEPOINT a"))
        session.execute(text("ROLLBACK TO SAVEPOINT a"))

        assert standing(session) == ("dbschema_app", str(tenant_id))


def test_who_gets_around_that_ends_up_without_a_tenant_and_sees_nothing(engine: Engine, mine: Any) -> None:
    """The driver begins a new transaction, which the session does not know of: as the login, which has no rights."""
    with tenant_session(engine, mine.id) as session:
        session.connection().exec_driver_sql("COMMIT")

        with pytest.raises(DBAPIError, match="permission denied"):
            session.scalars(select(Incident)).all()


class TestOnAConnection:
    """As tests of applications use a session: in a transaction of their own, which is rolled back."""

    @pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only", "conditional_savepoint"])
    @pytest.mark.parametrize("end", ["commit", "rollback", "close"])
    def test_role_and_tenant_come_back(self, engine: Engine, mode: str, end: str) -> None:
        outer, inner = uuid4(), uuid4()
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(f"SET LOCAL ROLE dbschema_app; SET LOCAL app.tenant_id = '{outer}'"))
            with tenant_session(connection, inner, join_transaction_mode=mode) as session:
                assert standing(session) == ("dbschema_app", str(inner))
                getattr(session, end)()

            if transaction.is_active:
                assert standing(connection) == ("dbschema_app", str(outer))
                transaction.rollback()

    def test_a_login_is_itself_again(self, engine: Engine) -> None:
        with engine.connect() as connection, connection.begin():
            with tenant_session(connection, uuid4(), join_transaction_mode="create_savepoint") as session:
                session.execute(text("SELECT 1"))
                session.commit()

            assert standing(connection) == (engine.url.username, "")

    def test_one_tenant_after_the_other(self, engine: Engine) -> None:
        with engine.connect() as connection, connection.begin():
            for tenant_id in (uuid4(), uuid4()):
                with tenant_session(
                    connection, tenant_id, join_transaction_mode="create_savepoint"
                ) as session:
                    assert standing(session) == ("dbschema_app", str(tenant_id))
                    with pytest.raises(DBAPIError):
                        session.execute(text("SELECT 1 / 0"))
                    session.rollback()
                    assert standing(session) == ("dbschema_app", str(tenant_id))
