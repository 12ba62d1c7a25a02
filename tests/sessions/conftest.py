"""A migrated database for the tests of a worker, and logins such as an application and an operator have.

The logins are plain members of the group roles: what a superuser can do after SET ROLE proves nothing about them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import create_engine as plain_engine

from dbschema.models import Incident, Tenant, User
from dbschema.sessions import create_async_engine, create_engine, tenant_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pytest_postgresql.executors import NoopExecutor
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
# Of the cluster, which the workers share.
LOGINS = {
    "application": f"GRANT dbschema_app TO sessions_application_{WORKER}",
    "operator": f"GRANT dbschema_app, dbschema_operator TO sessions_operator_{WORKER}",
    "stranger": "SELECT 1",
}


@dataclass(frozen=True)
class Place:
    """One migrated database, and the addresses of its logins."""

    superuser: str
    host: str
    port: int
    database: str

    def url(self, login: str = "application") -> str:
        return f"postgresql://sessions_{login}_{WORKER}:secret@{self.host}:{self.port}/{self.database}"

    def user(self, login: str = "application") -> str:
        return f"sessions_{login}_{WORKER}"


@dataclass(frozen=True)
class Customer:
    """A tenant with a user and two incidents."""

    id: UUID
    user: UUID
    incidents: tuple[UUID, UUID]


@pytest.fixture(scope="session")
def place(server: Any, migrated: NoopExecutor) -> Iterator[Place]:
    """The database of this worker's tests of sessions."""
    janitor = DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=f"sessions_{WORKER}",
        template_dbname=migrated.template_dbname,
    )
    superuser = server.url(janitor.dbname, driver="")
    with janitor:
        with psycopg.connect(superuser, autocommit=True) as connection:
            for login, grant in LOGINS.items():
                name = f"sessions_{login}_{WORKER}"
                connection.execute(f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'secret'")
                connection.execute(grant)
        yield Place(superuser, server.host, server.port, janitor.dbname)
        with psycopg.connect(superuser, autocommit=True) as connection:
            for login in LOGINS:
                connection.execute(f"DROP ROLE sessions_{login}_{WORKER}")


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    """The application's engine, with one connection, so that what one session leaves the next one finds."""
    engine = create_engine(place.url(), pool_size=1, max_overflow=0, pool_timeout=5)
    yield engine
    engine.dispose()


@pytest_asyncio.fixture
async def async_engine(place: Place) -> AsyncIterator[AsyncEngine]:
    """The same for asyncio."""
    engine = create_async_engine(place.url(), pool_size=1, max_overflow=0, pool_timeout=5)
    yield engine
    await engine.dispose()


@pytest.fixture
def superuser(place: Place) -> Iterator[Engine]:
    """What nothing is hidden from, to look at what is really there."""
    engine = plain_engine(place.superuser.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def new_customer(engine: Engine) -> Customer:
    tenant_id = uuid4()
    with tenant_session(engine, tenant_id) as session, session.begin():
        session.add(Tenant(tenant_name="A customer", slug=f"c{tenant_id.hex}"))
        session.flush()
        user = User(username="ada", email="ada@example.com")
        incidents = [Incident(domain_id="roads", title=title) for title in ("first", "second")]
        session.add_all([user, *incidents])
        session.flush()
        return Customer(tenant_id, user.id, (incidents[0].id, incidents[1].id))


@pytest.fixture
def mine(engine: Engine) -> Customer:
    """The tenant that a test works for."""
    return new_customer(engine)


@pytest.fixture
def theirs(engine: Engine) -> Customer:
    """Another tenant, with rows of the same make."""
    return new_customer(engine)
