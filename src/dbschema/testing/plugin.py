"""The fixtures, for pytest: found by its entry point, or named with `-p dbschema.testing.plugin`.

Nothing is started and nothing heavy is imported before a test asks for a database.
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
    "Set by pytest-xdist: the worker, after which its databases are named.",
    reader="tests",
)
_RUN = "dbschema_run"
_INI = "dbschema_alembic_ini"
_TEMPLATE = "dbschema_template"
_KEY: pytest.StashKey[Path] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the settings of this plugin."""
    group = parser.getgroup("dbschema")
    group.addoption(
        "--dbschema-url",
        metavar="ADDRESS",
        help="A server for the databases of the tests, as postgresql://user@host:5432/database; its own databases are "
        "left alone. Without it, a private server is started for the run.",
    )
    group.addoption(
        "--dbschema-template",
        metavar="DATABASE",
        help="A database of the server of --dbschema-url that those of the tests are copies of, with the extensions, or all "
        "of the schema, for a role that may only create databases.",
    )
    parser.addini(
        _TEMPLATE,
        "The same, for runs with --dbschema-url.",
    )
    parser.addini(
        _INI,
        "The alembic.ini whose revisions make the template; without it, alembic.ini beside the configuration of pytest, "
        "or the revisions of dbschema alone.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the run; the workers of pytest-xdist are given the name by the process that starts them."""
    if config.getoption("--dbschema-template") and not config.getoption("--dbschema-url"):
        raise pytest.UsageError(
            "--dbschema-template names a database of the server of --dbschema-url, which is missing"
        )
    given = getattr(config, "workerinput", {}).get(_RUN)
    config.stash[_KEY] = Path(given) if given else place.folder() / f"dbschema-pytest-{secrets.token_hex(5)}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist for each worker."""
    node.workerinput[_RUN] = str(node.config.stash[_KEY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the run has made, when the last worker has ended."""
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
    """The models, for the revision tests; an application with tables of its own may give its own MetaData here."""
    from dbschema.models import metadata  # noqa: PLC0415  imported by who asks for it

    return metadata


@pytest.fixture(scope="session")
def db_alembic_config(pytestconfig: pytest.Config) -> Config:
    """Alembic's configuration, whose `upgrade heads` makes the template."""
    from dbschema.testing.revisions import configuration  # noqa: PLC0415  imports Alembic

    return configuration(pytestconfig.rootpath, pytestconfig.getini(_INI) or None)


@pytest.fixture(scope="session")
def db_template(pytestconfig: pytest.Config, db_alembic_config: Config) -> str:
    """The name of the migrated database that clones are made of."""
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
    """The address of a migrated database for one test alone, which may commit and change the schema."""
    databases = _databases(pytestconfig)
    name = f"{os.environ.get(_WORKER, 'main')}_new"
    yield databases.create(name, db_template)
    databases.drop(name)


@pytest.fixture
def db_empty_url(pytestconfig: pytest.Config, db_template: str) -> Iterator[str]:  # noqa: ARG001  see below
    """The address of an empty database for one test alone.

    The template is made before: its revisions make the group roles, which are the whole server's, and a test that looks at
    roles would see them come while it runs.
    """
    databases = _databases(pytestconfig)
    name = f"{os.environ.get(_WORKER, 'main')}_empty"
    yield databases.create(name)
    databases.drop(name)


@pytest.fixture(scope="session")
def db_engine(db_url: str) -> Iterator[Engine]:
    """An engine on this worker's database, with the role that made it. What a test commits with it stays."""
    from dbschema.sessions import create_engine  # noqa: PLC0415  imports SQLAlchemy

    engine = create_engine(db_url)
    yield engine
    engine.dispose()


@pytest.fixture
def db_connection(db_engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back after the test, with the role that made the database."""
    with db_engine.connect() as connection, connection.begin() as transaction:
        yield connection
        if transaction.is_active:
            transaction.rollback()


@pytest.fixture
def db_as_tenant(
    db_connection: Connection,
) -> Callable[[UUID | str], AbstractContextManager[TenantSession]]:
    """Makes a session of a tenant, within the transaction of the test: `with db_as_tenant(tenant) as session:`.

    Inside another session's block it is that tenant's turn; what it commits stays visible until the test ends.
    """
    from dbschema.testing.isolation import as_tenant  # noqa: PLC0415  imports SQLAlchemy

    return lambda tenant_id: as_tenant(db_connection, tenant_id)


@pytest.fixture
def db_tenant(db_connection: Connection) -> UUID:
    """The id of a tenant that is there for this test."""
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
    """A session of `db_tenant` with the application's role; what it commits is rolled back after the test as well."""
    with db_as_tenant(db_tenant) as session:
        yield session


@pytest.fixture
def db_factory(db_session: TenantSession) -> Factory:
    """Makes rows of `db_tenant`: `db_factory.make(Incident, title="Pothole")`."""
    from dbschema.testing.factory import Factory  # noqa: PLC0415  imports SQLAlchemy

    return Factory(db_session)


@pytest.fixture
def db_async_session(db_url: str) -> Callable[[], AbstractAsyncContextManager[AsyncTenantSession]]:
    """Makes an asynchronous session of a tenant of its own: `async with db_async_session() as session:`.

    It works with every plugin for asynchronous tests, in the event loop of the test; all is rolled back at its end. Its
    connection is its own, so that it sees nothing of `db_session`.
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
