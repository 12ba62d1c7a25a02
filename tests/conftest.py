"""The PostgreSQL of a test run: private servers of its own, a migrated template on each, and a clone for each test.

A server lives in a temporary folder beside the developer's own, is started by the first test that needs one and goes with
the run. Each worker of pytest-xdist has one of its own: roles and who is let into them are the whole server's, so that
what one test commits would be found by `verify` in another one.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from pytest_postgresql import factories
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import create_engine

from dbschema.testing import place
from dbschema.tools.server import Address, PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_postgresql.executors import NoopExecutor
    from sqlalchemy import Connection, Engine

# The CDK app has an environment of its own, with 600 MB that nobody else needs: `make test-infra`, which CI runs too, as it
# does `make test-deploy`, for which archives are built.
collect_ignore = ["infra", "end_to_end"]

# A worker that begins one of these when the others have nothing left is waited for: `--dist worksteal` takes from the end.
LONGEST = ("migrations/test_survival.py", "sessions/test_isolation.py")

# An example that takes longer than hypothesis's fifth of a second says nothing: the machine may have stood still.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")

HOME_VARIABLE = "DBSCHEMA_TEST_HOME"
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "20",  # for sessions in two phases
    "shared_preload_libraries": "postgis-3",  # 20 ms in each session that touches a place, were it to load it
    "jit_above_cost": "-1",  # compiling a query costs more than any of ours
}
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
ROLES = {
    "dbschema_app": "jit = 'off'",
    "dbschema_operator": "jit = 'off'",
    "dbschema_readonly": "jit = 'off'",
    "dbschema_search": None,
}
# An extension with tables that is available everywhere: PostgreSQL ships none, and PostGIS has dropped its geocoder. Members are
# added to an extension of PostgreSQL; their rows in pg_depend are those that CREATE EXTENSION writes.
GEOCODER = """
CREATE EXTENSION fuzzystrmatch;
CREATE SCHEMA tiger;
CREATE SEQUENCE tiger.roads_id_seq;
CREATE TYPE tiger.address AS (number int, street text);
CREATE FUNCTION tiger.spelling(word text) RETURNS text LANGUAGE sql IMMUTABLE RETURN metaphone(word, 10);
CREATE TABLE tiger.states (code text PRIMARY KEY, area geometry(MULTIPOLYGON, 4269) CHECK (ST_IsValid(area)));
CREATE TABLE tiger.roads (
    id bigint PRIMARY KEY DEFAULT nextval('tiger.roads_id_seq'),
    state text NOT NULL REFERENCES tiger.states, name text NOT NULL
);
CREATE INDEX roads_spelling ON tiger.roads (tiger.spelling(name));
CREATE VIEW tiger.found AS SELECT r.name, s.area FROM tiger.roads r JOIN tiger.states s ON s.code = r.state;
ALTER EXTENSION fuzzystrmatch ADD SCHEMA tiger;
ALTER EXTENSION fuzzystrmatch ADD SEQUENCE tiger.roads_id_seq;
ALTER EXTENSION fuzzystrmatch ADD TYPE tiger.address;
ALTER EXTENSION fuzzystrmatch ADD FUNCTION tiger.spelling(text);
ALTER EXTENSION fuzzystrmatch ADD TABLE tiger.states;
ALTER EXTENSION fuzzystrmatch ADD TABLE tiger.roads;
ALTER EXTENSION fuzzystrmatch ADD VIEW tiger.found;
"""
# What all databases of a server share; of the databases themselves, those that are there before the tests.
SHARED = """
SELECT 'role ' || rolname || ' ' || (to_jsonb(r) - '{oid,rolname,rolpassword}'::text[]) FROM pg_roles AS r
UNION ALL
SELECT format('%s in %s, admin option %s', member::regrole, roleid::regrole, admin_option) FROM pg_auth_members
UNION ALL
SELECT format('setting of role %s in database %s: %s', setrole::regrole, setdatabase, setconfig) FROM pg_db_role_setting
WHERE setdatabase = 0 OR setdatabase IN (SELECT oid FROM pg_database WHERE datname = 'postgres')
UNION ALL
SELECT format('database %s of %s: %s', datname, datdba::regrole, datacl) FROM pg_database
WHERE datname IN ('postgres', 'template0', 'template1')
UNION ALL
SELECT format('privileges on setting %s: %s', parname, paracl) FROM pg_parameter_acl
UNION ALL
SELECT format('ALTER SYSTEM SET %s = %s', name, setting) FROM pg_file_settings WHERE sourcefile ~ 'auto[.]conf$'
UNION ALL
SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
UNION ALL
SELECT 'replication slot ' || slot_name FROM pg_replication_slots
"""


def pytest_configure(config: pytest.Config) -> None:
    for name in (
        "DATABASE_URL",
        "DB_SECRET_ARN",
        "RDS_SECRET_ARN",
        "DB_SSM_PREFIX",
        "AURORA_CLUSTER_ARN",
        "DB_IAM_AUTH",
        "DB_WAKE_SECONDS",
        "DB_FAILOVER_SECONDS",
        "DB_FAILOVER_HOSTS",
        "DB_SSL_ROOT_CERT",
        "AWS_LAMBDA_FUNCTION_NAME",
        "DBSCHEMA_HOME",
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGDATABASE",
        "PGOPTIONS",
    ):
        os.environ.pop(name, None)
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="dbschema-test-", dir=place.folder())
        # Started by root, the server runs as another user, who has to get there.
        Path(folder).chmod(0o755)
        os.environ[HOME_VARIABLE] = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    # The wrapper for failover imports the SDK of X-Ray, which opens a socket on import and has no means of closing it.
    if (xray := sys.modules.get("aws_xray_sdk.core")) is not None:
        xray.xray_recorder.emitter._socket.close()
    if hasattr(config, "workerinput") or HOME_VARIABLE not in os.environ:
        return
    folder = Path(os.environ.pop(HOME_VARIABLE))
    for home in folder.glob("*/server"):
        PrivateServer(home).destroy()
    shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected stays: it need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()


class TestServer:
    """The server as pytest-postgresql wants to see it, its addresses, and the file of its log."""

    __test__ = False
    options = ""
    maintenance_dbname = "postgres"
    template_dbname = None

    def __init__(self, address: Address, log: Path) -> None:
        self.address, self.log = address, log
        self.host, self.port = address.host, address.port
        self.user, self.password = address.user, address.password
        self.admin = psycopg.connect(self.url("postgres", driver=""), autocommit=True)
        _anchor_roles(self.admin)
        self.at_first = self.shared()

    def url(self, database: str, driver: str = "psycopg") -> str:
        """The address of one of its databases, for SQLAlchemy; with `driver=""` for psql."""
        return self.address.url(database, driver=driver)

    def shared(self) -> set[str]:
        """What all its databases share now, in words."""
        return {fact for (fact,) in self.admin.execute(SHARED, prepare=True)}

    def roles(self) -> set[str]:
        """The names of its roles."""
        return {name for (name,) in self.admin.execute("SELECT rolname FROM pg_roles", prepare=True)}


_started: list[TestServer] = []


@pytest.fixture(scope="session")
def server() -> Iterator[TestServer]:
    """The server of this worker, as its superuser."""
    folder = Path(os.environ[HOME_VARIABLE]) / WORKER
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    started = PrivateServer(folder / "server", options=FAST).start()
    server = TestServer(started, folder / "server" / "server.log")
    server.admin.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(server.user), sql.Literal(quick_verifier(server.password))
        )
    )
    _started.append(server)
    yield server
    server.admin.close()
    _started.clear()


def _anchor_roles(admin: psycopg.Connection) -> None:
    """Keep the group roles in the cluster: a test that downgrades must not take them from the other databases of its server."""
    for role, setting in ROLES.items():
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            admin.execute(f"CREATE ROLE {role} NOLOGIN")
            if setting is not None:
                admin.execute(f"ALTER ROLE {role} SET {setting}")
            admin.execute(f"GRANT CONNECT ON DATABASE postgres TO {role}")


def quick_verifier(password: str) -> str:
    """What the server stores of `password`, hashed once and not 4,096 times: 2 ms less in each of thousands of connections.

    By RFC 5802. Whoever does not know the password is refused as ever; only guessing it from the stored form is easier.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    of_server = hmac.digest(salted, b"Server Key", "sha256")
    shown = [base64.b64encode(value).decode() for value in (salt, stored, of_server)]
    return "SCRAM-SHA-256$1:{}${}:{}".format(*shown)


@pytest.fixture(autouse=True)
def unchanged_server() -> Iterator[None]:
    """Every test leaves what all databases of its server share as it was, for another test would find it."""
    before = _started[0].shared() if _started else None
    yield
    if _started:
        if before is None:  # the test has started the server
            before = _started[0].at_first
        after = _started[0].shared()
        assert (after - before, before - after) == (set(), set()), "left behind, and missing"


def migrate(*, host: str, port: int, user: str, dbname: str, password: str, **_: object) -> None:
    """Bring a new database to the head, by the real revisions."""
    url = f"postgresql+psycopg://{user}:{password}@{host}:{port}/{dbname}"
    from dbschema.migrations import runner  # noqa: PLC0415  Alembic is imported by who needs a migrated database

    runner.upgrade(url)


migrated = factories.postgresql_noproc(depends_on="server", dbname="dbschema_template", load=[migrate])


@pytest.fixture
def new_database(server: TestServer, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes databases and gives their URLs: empty ones, or with `migrated=True` clones of the migrated template.

    Roles that have come since go with them.
    """
    names: list[str] = []
    roles = server.roles()

    def make(*, migrated: bool = False, driver: str = "psycopg") -> str:
        template = request.getfixturevalue("migrated").template_dbname if migrated else "template0"
        name = f"test_{WORKER}_{len(names)}"
        drop(server.admin, name)
        server.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template,)
        )
        # File by file, and not block by block through the log: 15 ms less.
        server.admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        names.append(name)
        return server.url(name, driver=driver)

    yield make
    for name in names:
        drop(server.admin, name)
    for role in server.roles() - roles:
        server.admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def drop(connection: psycopg.Connection, database: str) -> None:
    """Remove `database`, if it is there, and end who is connected to it."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


@pytest.fixture
def geocoder() -> str:
    """The statements that make, where PostGIS is, an extension with tables, a view and a function in a schema `tiger`."""
    return GEOCODER


@pytest.fixture
def fresh_database(new_database: Callable[..., str]) -> str:
    """The URL of an empty database."""
    return new_database()


@pytest.fixture
def database(new_database: Callable[..., str]) -> str:
    """The URL of a migrated database without data."""
    return new_database(migrated=True)


@pytest.fixture(scope="session")
def shared_engine(server: TestServer, migrated: NoopExecutor) -> Iterator[Engine]:
    """An engine on one migrated database for all tests of a worker that roll back what they do."""
    janitor = DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=f"shared_{WORKER}",
        template_dbname=migrated.template_dbname,
    )
    with janitor:
        engine = create_engine(server.url(janitor.dbname))
        yield engine
        engine.dispose()


@pytest.fixture
def connection(shared_engine: Engine) -> Iterator[Connection]:
    """A connection of the superuser to a migrated database without data, in a transaction that is rolled back."""
    with shared_engine.connect() as connection, connection.begin() as transaction:
        yield connection
        if transaction.is_active:
            transaction.rollback()
