"""The tenant and the role stand in each transaction of a session, and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from dbschema.models import Incident
from dbschema.sessions import create_engine, tenant_session
from dbschema.sessions.errors import NoTransaction

if TYPE_CHECKING:
    from sqlalchemy import Engine

STANDING = text("SELECT current_user::text, current_setting('app.tenant_id', true)")


def standing(session: Any) -> tuple[Any, ...]:
    return tuple(session.execute(STANDING).one())


def test_the_tenant_and_the_role_are_set(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        assert session.tenant_id == tenant_id
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


def test_a_refresh_after_commit_finds_the_row(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = session.get_one(Incident, mine.incidents[0])
        session.commit()

        assert incident.title == "first"
        session.commit()
        session.refresh(incident)
        assert standing(session)[1] == str(mine.id)


def test_a_raw_connection_of_the_session_has_them_too(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session:
        assert standing(session.connection()) == ("dbschema_app", str(tenant_id))


def test_nothing_is_committed_by_leaving(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        session.add(Incident(domain_id="roads", title="third"))
        session.flush()

    with tenant_session(engine, mine.id) as session:
        assert session.scalar(select(func.count()).select_from(Incident)) == 2


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
