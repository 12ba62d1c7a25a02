"""Functions of another role, by a migrator that is no superuser, as on RDS: what it needs is lent to it and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from dbschema import catalog
from dbschema.ddl import Function
from dbschema.migrations import runner
from dbschema.models import metadata
from dbschema.models.conversations import DOCUMENTS_BY_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

SIGNATURE = DOCUMENTS_BY_WORDS.signature


class Migrator:
    """A login that owns a database and may create roles, and the superuser beside it."""

    def __init__(self, admin: Engine, name: str) -> None:
        self.admin, self.name = admin, name
        self.url = admin.url.set(username=name, password="secret")

    def engine(self) -> Engine:
        return create_engine(self.url, poolclass=NullPool)

    def asked(self, sql: str) -> Any:
        with self.admin.connect() as connection:
            return connection.execute(text(sql)).scalar()

    def upgrade(self) -> None:
        runner.upgrade(self.url.render_as_string(hide_password=False))


@pytest.fixture
def make(new_database: Callable[..., str], server: Any, worker_id: str) -> Iterator[Callable[..., Migrator]]:
    """Makes a migrator with these attributes, and its database with the extensions that a superuser has to create."""
    names: list[str] = []
    cluster = create_engine(server.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def begin(attributes: str) -> Migrator:
        name = f"migrator_{worker_id}_{len(names)}"
        url = make_url(new_database())
        with cluster.connect() as connection:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' NOSUPERUSER {attributes}")
            connection.exec_driver_sql(f"ALTER DATABASE {url.database} OWNER TO {name}")
            if attributes == "CREATEROLE" and (connection.dialect.server_version_info or (0,)) >= (16,):
                # CREATEROLE no longer reaches the roles of others. CREATE ROLE makes its caller such a member; here the
                # superuser has created the role, for all databases of the server.
                connection.exec_driver_sql(
                    f"GRANT dbschema_search TO {name} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
                )
        names.append(name)
        admin = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql("CREATE EXTENSION postgis")
        return Migrator(admin, name)

    yield begin
    with cluster.connect() as connection:
        for name in names:
            databases = connection.exec_driver_sql(
                f"SELECT datname FROM pg_database WHERE datdba = to_regrole('{name}')"
            ).scalars()
            for database in list(databases):
                connection.exec_driver_sql(f"DROP DATABASE {database} WITH (FORCE)")
            connection.exec_driver_sql(f"DROP ROLE {name}")
    cluster.dispose()


OWNER = f"SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = to_regprocedure('{SIGNATURE}')"
# Those that may act as the role, or have its privileges: from PostgreSQL 16 on, a member may have neither.
MEMBERS = """
SELECT count(*) FROM pg_auth_members AS m, to_jsonb(m) AS options WHERE roleid = to_regrole('dbschema_search')
AND (coalesce((options ->> 'set_option')::boolean, true) OR coalesce((options ->> 'inherit_option')::boolean, true))
"""
ROOM = "SELECT has_schema_privilege('dbschema_search', 'public', 'CREATE')"


def test_a_migrator_that_may_create_roles_needs_nothing_else(make: Callable[..., Migrator]) -> None:
    migrator = make("CREATEROLE")

    migrator.upgrade()

    assert migrator.asked(OWNER) == "dbschema_search"
    assert migrator.asked(MEMBERS) == 0
    assert migrator.asked(ROOM) is False


def test_what_was_lent_is_gone_so_that_the_migrator_sees_no_rows(make: Callable[..., Migrator]) -> None:
    """A member of the functions' role would be let through by their policies."""
    migrator = make("CREATEROLE")
    migrator.upgrade()
    with migrator.admin.connect() as connection:
        connection.exec_driver_sql(
            "INSERT INTO tenants (id, tenant_name, slug) VALUES (gen_random_uuid(), 'x', 'x');"
            "INSERT INTO incidents (tenant_id, domain_id) SELECT id, 'd' FROM tenants"
        )

    with migrator.engine().connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incidents")) == 0


def test_its_own_comparison_finds_nothing_and_its_downgrade_leaves_nothing(
    make: Callable[..., Migrator],
) -> None:
    migrator = make("CREATEROLE")
    migrator.upgrade()
    with migrator.engine().connect() as connection:
        assert catalog.check(connection, metadata) == ()

    runner.downgrade(migrator.url.render_as_string(hide_password=False), "base")

    assert migrator.asked("SELECT count(*) FROM pg_proc WHERE proname LIKE 'search\\_%'") == 0


def test_a_function_can_be_replaced_and_given_again(make: Callable[..., Migrator]) -> None:
    migrator = make("CREATEROLE")
    migrator.upgrade()

    with migrator.engine().begin() as connection:
        for statement in DOCUMENTS_BY_WORDS.create():
            connection.execute(text(statement.replace(":", "\\:")))

    assert migrator.asked(OWNER) == "dbschema_search"
    assert migrator.asked(MEMBERS) == 0


def test_a_migrator_that_may_not_create_roles_is_told_what_to_ask_for(make: Callable[..., Migrator]) -> None:
    migrator = make("NOCREATEROLE")
    first, *_ = DOCUMENTS_BY_WORDS.create()
    del first
    function = Function("plain", "int", "SELECT 1", language="sql", owner="dbschema_search")
    *_, give = function.create()

    with migrator.engine().begin() as connection:
        connection.execute(text("CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1'"))
        with pytest.raises(ProgrammingError) as caught, connection.begin_nested():
            connection.execute(text(give.replace(":", "\\:")))

    diagnostic = caught.value.orig.diag  # type: ignore[union-attr]  # psycopg's
    assert (
        diagnostic.message_primary == f"{migrator.name} may not give the function plain() to dbschema_search"
    )
    assert diagnostic.message_hint == f"Have an administrator run: GRANT dbschema_search TO {migrator.name}"


def test_one_that_was_let_in_stays_in(make: Callable[..., Migrator]) -> None:
    migrator = make("NOCREATEROLE")
    with migrator.admin.connect() as connection:
        connection.exec_driver_sql(f"GRANT dbschema_search TO {migrator.name}")

    migrator.upgrade()

    assert migrator.asked(OWNER) == "dbschema_search"
    assert migrator.asked(MEMBERS) == 1


def test_an_owner_that_is_another_by_now_is_told(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER FUNCTION search_documents OWNER TO CURRENT_USER")

    told = [str(item) for item in catalog.check(connection, metadata)]

    assert [item for item in told if "owner" in item] == [
        f"function {DOCUMENTS_BY_WORDS.identity.name}: owner is none, wanted 'dbschema_search'"
    ]


def test_a_right_to_execute_that_is_gone_is_told(connection: Connection) -> None:
    connection.exec_driver_sql("REVOKE EXECUTE ON FUNCTION search_documents FROM dbschema_app")
    connection.exec_driver_sql("GRANT EXECUTE ON FUNCTION search_documents TO PUBLIC")

    told = {
        str(item).partition(" FUNCTION")[0] + str(item).rpartition(" TO")[2]
        for item in catalog.check(connection, metadata)
    }

    assert told == {"missing grant dbschema_app", "extra grant PUBLIC"}
