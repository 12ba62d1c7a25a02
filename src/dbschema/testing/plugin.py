"""The fixtures for pytest, loaded by the entry point or with `-p dbschema.testing.plugin`.

No server is started, and no slow module is imported, before a test needs a database.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dbschema.environment import Variable
from dbschema.testing import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from uuid import UUID

    from alembic.config import Config
    from sqlalchemy import Connection, Engine, Executable, MetaData
    from sqlalchemy.orm import DeclarativeBase

    from dbschema.sessions import AsyncTenantSession, TenantSession
    from dbschema.testing.databases import Databases
    from dbschema.testing.factory import Factory

_WORKER = Variable(
    "PYTEST_XDIST_WORKER",
    "Set by pytest-xdist: the name of the worker, which its databases contain.",
    reader="tests",
)
_RUN = "dbschema_run"
_INI = "dbschema_alembic_ini"
_TEMPLATE = "dbschema_template"
_KEY: pytest.StashKey[Path] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings of this plugin."""
    group = parser.getgroup("dbschema")
    group.addoption(
        "--dbschema-url",
        metavar="ADDRESS",
        help="A server for the databases of the tests, as postgresql://user@host:5432/database; its own databases are "
        "not changed. Without it, a private server is started for the run.",
    )
    group.addoption(
        "--dbschema-template",
        metavar="DATABASE",
        help="A database of the server of --dbschema-url that the databases of the tests are copied from. It contains the "
        "extensions, or the whole schema, for a role that may only create databases.",
    )
    parser.addini(
        _TEMPLATE,
        "The same as --dbschema-template, for runs with --dbschema-url.",
    )
    parser.addini(
        _INI,
        "The alembic.ini whose revisions build the template; without it, alembic.ini beside the configuration of pytest, "
        "or only the revisions of dbschema.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the run; the workers of pytest-xdist get the name from the process that starts them."""
    if config.getoption("--dbschema-template") and not config.getoption("--dbschema-url"):
        raise pytest.UsageError(
            "--dbschema-template names a database of the server of --dbschema-url, which is missing"
        )
    run = getattr(config, "workerinput", {}).get(_RUN)
    config.stash[_KEY] = Path(run) if run else place.folder() / f"dbschema-pytest-{secrets.token_hex(5)}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the name of the run to a worker of pytest-xdist."""
    node.workerinput[_RUN] = str(node.config.stash[_KEY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the databases of the run after the last worker has ended."""
    if not hasattr(config, "workerinput") and _KEY in config.stash and config.stash[_KEY].exists():
        _databases(config).remove()


def _databases(config: pytest.Config) -> Databases:
    from dbschema.testing.databases import Databases  # noqa: PLC0415  pytest imports this module in every run

    folder = config.stash[_KEY]
    url = config.getoption("--dbschema-url")
    source = config.getoption("--dbschema-template") or config.getini(_TEMPLATE) or None
    return Databases(folder.name.rpartition("-")[2], folder, url, source if url else None)


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """The models for the revision tests; an application with its own tables overrides this fixture with its MetaData."""
    from dbschema.models import metadata  # noqa: PLC0415  imports SQLAlchemy

    return metadata


@pytest.fixture(scope="session")
def db_alembic_config(pytestconfig: pytest.Config) -> Config:
    """Alembic's configuration; its `upgrade heads` builds the template."""
    from dbschema.testing.revisions import configuration  # noqa: PLC0415  imports Alembic

    return configuration(pytestconfig.rootpath, pytestconfig.getini(_INI) or None)


@pytest.fixture(scope="session")
def db_template(pytestconfig: pytest.Config, db_alembic_config: Config) -> str:
    """The name of the migrated database that the other databases are cloned from."""
    from dbschema.testing.revisions import upgrade  # noqa: PLC0415  imports Alembic

    return _databases(pytestconfig).template(lambda url: upgrade(db_alembic_config, url))


@pytest.fixture(scope="session")
def db_url(pytestconfig: pytest.Config, db_template: str) -> Iterator[str]:
    """The address of this worker's migrated database, for SQLAlchemy."""
    databases = _databases(pytestconfig)
    name = os.environ.get(_WORKER, "main")
    yield databases.create(name, db_template)
    databases.drop(name)


@pytest.fixture
def db_new_url(pytestconfig: pytest.Config, db_template: str) -> Iterator[str]:
    """The address of a migrated database for one test, which may commit and change the schema."""
    databases = _databases(pytestconfig)
    name = f"{os.environ.get(_WORKER, 'main')}_new"
    yield databases.create(name, db_template)
    databases.drop(name)


@pytest.fixture
def db_empty_url(pytestconfig: pytest.Config, db_template: str) -> Iterator[str]:  # noqa: ARG001  see below
    """The address of an empty database for one test.

    The template is built first. Its revisions create the group roles, which belong to the whole server, so they must not
    appear while a test reads the roles.
    """
    databases = _databases(pytestconfig)
    name = f"{os.environ.get(_WORKER, 'main')}_empty"
    yield databases.create(name)
    databases.drop(name)


@pytest.fixture(scope="session")
def db_engine(db_url: str) -> Iterator[Engine]:
    """An engine on this worker's database, with the role that created it. Commits are not rolled back after the test."""
    from dbschema.sessions import create_engine  # noqa: PLC0415  imports SQLAlchemy

    engine = create_engine(db_url)
    yield engine
    engine.dispose()


@pytest.fixture
def db_connection(db_engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back after the test, with the role that created the database."""
    with db_engine.connect() as connection, connection.begin() as transaction:
        yield connection
        if transaction.is_active:
            transaction.rollback()


@pytest.fixture
def db_as_tenant(
    db_connection: Connection,
) -> Callable[[UUID | str], AbstractContextManager[TenantSession]]:
    """Create a session of a tenant in the transaction of the test: `with db_as_tenant(tenant) as session:`.

    Blocks can be nested; the innermost session sets the tenant. Its commits stay visible until the test ends.
    """
    from dbschema.testing.isolation import as_tenant  # noqa: PLC0415  imports SQLAlchemy

    return lambda tenant_id: as_tenant(db_connection, tenant_id)


@pytest.fixture
def db_tenant(db_connection: Connection) -> UUID:
    """The id of a tenant that exists for this test."""
    from dbschema.testing.isolation import make_tenant  # noqa: PLC0415  imports SQLAlchemy

    return make_tenant(db_connection)


@pytest.fixture
def db_other_tenant(db_connection: Connection) -> UUID:
    """The id of a second tenant."""
    from dbschema.testing.isolation import make_tenant  # noqa: PLC0415  imports SQLAlchemy

    return make_tenant(db_connection)


@pytest.fixture
def db_session(
    db_as_tenant: Callable[[UUID | str], AbstractContextManager[TenantSession]], db_tenant: UUID
) -> Iterator[TenantSession]:
    """A session of `db_tenant` with the application's role; its commits are rolled back after the test too."""
    with db_as_tenant(db_tenant) as session:
        yield session


@pytest.fixture
def db_factory(db_session: TenantSession) -> Factory:
    """A factory for rows of `db_tenant`: `db_factory.make(Incident, title="Pothole")`."""
    from dbschema.testing.factory import Factory  # noqa: PLC0415  imports SQLAlchemy

    return Factory(db_session)


@pytest.fixture
def db_async_session(db_url: str) -> Callable[[], AbstractAsyncContextManager[AsyncTenantSession]]:
    """Create an asynchronous session of a new tenant: `async with db_async_session() as session:`.

    It runs in the event loop of the test, with every plugin for asynchronous tests, and is rolled back at its end. It has
    its own connection, so it does not see the uncommitted rows of `db_session`.
    """
    from dbschema.testing.isolation import as_tenant_async  # noqa: PLC0415  imports SQLAlchemy

    return lambda: as_tenant_async(db_url)


@pytest.fixture
def assert_isolated(db_connection: Connection) -> Callable[[type[DeclarativeBase]], None]:
    """`assert_isolated(Model)`: see `dbschema.testing.assert_isolated`."""
    from dbschema.testing.isolation import assert_isolated  # noqa: PLC0415  imports SQLAlchemy

    return lambda model: assert_isolated(model, db_connection)


@pytest.fixture
def assert_uses_index(db_session: TenantSession) -> Callable[..., None]:
    """`assert_uses_index(query, name)` as `db_session`: see `dbschema.testing.assert_uses_index`."""
    from dbschema.testing.plans import assert_uses_index  # noqa: PLC0415  imports SQLAlchemy

    def check(query: Executable, name: str, *, costs: bool = False) -> None:
        assert_uses_index(db_session, query, name, costs=costs)

    return check
