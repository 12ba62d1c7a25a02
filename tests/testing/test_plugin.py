"""The pytest plugin gives each test a migrated database and leaves nothing of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from tests.testing.conftest import Project

from dbschema.migrations import runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import TestServer

ROOT = Path(__file__).resolve().parents[2]


def passed(done: object, number: int) -> None:
    assert f"{number} passed" in done.stdout, done.stdout + done.stderr  # type: ignore[attr-defined]
    assert done.returncode == 0, done.stdout  # type: ignore[attr-defined]


def databases(server: TestServer, prefix: str) -> list[str]:
    with psycopg.connect(server.url("postgres", driver="")) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (prefix,)
        )
        return [name for (name,) in found]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that the account of a server that root has started can enter."""
    with tempfile.TemporaryDirectory(prefix="dbschema-plugin-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_example_of_an_application_with_its_own_tables_passes_on_a_private_server(
    temporary: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own_tables"
    shutil.copytree(
        ROOT / "examples" / "own_tables", folder, ignore=shutil.ignore_patterns("__pycache__", ".*")
    )

    done = Project(folder, None, temporary).run("-n", "2")

    passed(done, 10)
    assert list(temporary.glob("dbschema-*")) == []


def test_what_a_test_writes_is_gone_in_the_next_one(project: Project) -> None:
    project.write("""
import pytest
from sqlalchemy import func, select, text
from dbschema.models import Tenant, User

@pytest.mark.parametrize("time", [1, 2])
def test_commit(db_session, db_factory, db_connection, db_tenant, time):
    db_factory.many(3, User)
    db_session.commit()
    assert db_session.scalar(select(func.count()).select_from(User)) == 3
    assert db_session.tenant_id == db_tenant

def test_the_database_is_empty(db_connection):
    assert db_connection.scalar(text("SELECT count(*) FROM tenants")) == 0

def test_rollback(db_session, db_factory):
    db_factory.make(User)
    db_session.rollback()
    assert db_session.scalars(select(User)).all() == []
    assert db_session.scalar(text("SELECT current_user")) == "dbschema_app"
""")

    passed(project.run(), 4)


def test_a_session_acts_as_the_application_and_another_tenant_has_its_turn(quick_project: Project) -> None:
    quick_project.write("""
from sqlalchemy import select, text
from dbschema.models import Incident
from dbschema.testing import Factory

def test_turns(db_session, db_factory, db_other_tenant, db_as_tenant, db_connection):
    mine = db_factory.make(Incident, title="mine")
    with db_as_tenant(db_other_tenant) as other:
        theirs = Factory(other).make(Incident, title="theirs")
        other.commit()
        assert [one.title for one in other.scalars(select(Incident))] == ["theirs"]
    assert [one.title for one in db_session.scalars(select(Incident))] == ["mine"]
    assert db_session.scalar(text("SELECT current_setting('app.tenant_id')")) == str(mine.tenant_id)
    with db_as_tenant(db_other_tenant) as other:
        assert [one.title for one in other.scalars(select(Incident))] == ["theirs"]
""")

    passed(quick_project.run(), 1)


@pytest.mark.parametrize(
    ("plugin", "mark", "options"),
    [
        ("pytest_asyncio.plugin", "asyncio", ("-o", "asyncio_default_fixture_loop_scope=function")),
        ("anyio.pytest_plugin", "anyio", ()),
    ],
    ids=["pytest-asyncio", "anyio"],
)
def test_asynchronous_sessions_work_with_each_plugin(
    quick_project: Project, plugin: str, mark: str, options: tuple[str, ...]
) -> None:
    quick_project.write(f"""
import pytest
from sqlalchemy import func, select, text
from dbschema.models import Tenant, User

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{mark}
@pytest.mark.parametrize("time", [1, 2])
async def test_it(db_async_session, time):
    async with db_async_session() as session:
        session.add(User(username="anna", email="anna@example.com"))
        await session.commit()
        assert await session.scalar(select(func.count()).select_from(User)) == 1
        assert await session.scalar(text("SELECT current_user")) == "dbschema_app"

def test_nothing_stays(db_connection):
    assert db_connection.scalar(text("SELECT count(*) FROM tenants")) == 0
""")

    passed(quick_project.run(*options, plugins=(plugin,)), 3)


def test_a_factory_makes_a_row_of_every_model(quick_project: Project) -> None:
    quick_project.write("""
import pytest
from sqlalchemy import inspect
from dbschema.models import Base
from dbschema.testing.errors import TestingError
from dbschema.models import Message, User

MODELS = sorted((mapper.class_ for mapper in Base.registry.mappers), key=lambda model: model.__name__)

@pytest.mark.parametrize("model", [one for one in MODELS if one.__name__ != "Tenant"])
def test_a_row(db_factory, db_session, model):
    first, second = db_factory.many(2, model)
    assert inspect(first).persistent
    assert first.id != second.id
    assert first.tenant_id == db_session.tenant_id

def test_given_values_and_relationships_count(db_factory):
    user = db_factory.make(User, username="anna", is_active=False)
    message = db_factory.make(Message, content="Hello")
    assert (user.username, user.is_active, message.content) == ("anna", False, "Hello")

def test_a_misspelt_attribute_is_refused(db_factory):
    with pytest.raises(TestingError, match="usrname"):
        db_factory.make(User, usrname="anna")
""")

    passed(quick_project.run(), 22)


def test_a_model_that_does_not_keep_tenants_apart_is_found(quick_project: Project) -> None:
    quick_project.write("""
import pytest
from sqlalchemy import text
from dbschema.models import Base, Incident, Message, User

MODELS = sorted((mapper.class_ for mapper in Base.registry.mappers), key=lambda model: model.__name__)

@pytest.mark.parametrize("model", MODELS)
def test_each_of_ours_does(assert_isolated, model):
    assert_isolated(model)

@pytest.mark.parametrize(("damage", "told"), [
    ("ALTER POLICY tenant_isolation ON incidents USING (true)", "another tenant's row can be seen"),
    ("ALTER TABLE incidents DISABLE ROW LEVEL SECURITY", "a row can be inserted for another tenant"),
    ("DROP POLICY tenant_isolation ON incidents", "could not be checked"),
])
def test_damage(db_connection, assert_isolated, damage, told):
    db_connection.execute(text(damage))
    with pytest.raises(AssertionError, match=told):
        assert_isolated(Incident)

def test_nothing_of_the_questions_stays(db_connection, assert_isolated):
    assert_isolated(Message)
    assert db_connection.scalar(text("SELECT count(*) FROM tenants")) == 0
    assert db_connection.scalar(text("SELECT current_user")) != "dbschema_app"
""")

    passed(quick_project.run(), 25)


def test_a_query_that_its_index_cannot_serve_is_found(quick_project: Project) -> None:
    quick_project.write("""
import pytest
from sqlalchemy import select, text
from dbschema.models import Incident, User

def test_served(assert_uses_index):
    newest = select(Incident).order_by(Incident.created_at.desc(), Incident.id).limit(5)
    assert_uses_index(newest, "idx_incidents_created_at")
    assert_uses_index(select(User).where(User.email.in_(["a@example.com", "b@example.com"])), "uq_users_tenant_id_email")

@pytest.mark.parametrize(("index", "condition"), [
    ("idx_incidents_location", Incident.domain_id == "roads"),
    ("idx_incidents_created_at", Incident.title == "x"),
    ("idx_incidents_tenant_domain", Incident.title == "x"),
])
def test_an_index_that_only_finds_the_tenant_does_not_serve(assert_uses_index, index, condition):
    with pytest.raises(AssertionError, match=f"{index} does not serve the query"):
        assert_uses_index(select(Incident).where(condition), index)

@pytest.mark.parametrize(("index", "query"), [
    ("idx_incidents_tenant_domain", select(Incident).where(Incident.domain_id == "roads", Incident.title == "x")),
    ("idx_incidents_tenant_domain", select(Incident).where(Incident.domain_id == "roads").order_by(Incident.created_at.desc())),
    ("idx_incidents_created_by", select(Incident).where(Incident.created_by == "00000000-0000-0000-0000-000000000001")),
    ("pk_incidents", select(Incident).where(Incident.id == "00000000-0000-0000-0000-000000000001")),
])
def test_each_index_serves_its_query(assert_uses_index, db_session, index, query):
    assert_uses_index(query, index)
    assert db_session.scalar(text("SELECT current_user || current_setting('enable_seqscan')")) == "dbschema_appon"
    assert db_session.scalar(text("SELECT count(*) FROM pg_indexes WHERE tablename = 'incidents'")) > 5

def test_row_security_keeps_the_index_from_it(assert_uses_index):
    with pytest.raises(AssertionError, match="idx_incidents_structured_data does not serve") as caught:
        assert_uses_index(select(Incident).where(Incident.structured_data.contains({"a": 1})), "idx_incidents_structured_data")
    assert "Filter: " in str(caught.value)

def test_the_costs_of_a_table_with_rows_count_where_told(assert_uses_index, db_factory, db_connection):
    db_factory.many(3, Incident)
    db_connection.execute(text("RESET ROLE"))
    db_connection.execute(text("ANALYZE incidents"))
    db_connection.execute(text("SET LOCAL ROLE dbschema_app"))
    query = select(Incident).where(Incident.domain_id == "roads")
    assert_uses_index(query, "idx_incidents_tenant_domain")
    with pytest.raises(AssertionError, match="incidents is read with a sequential scan"):
        assert_uses_index(query, "idx_incidents_tenant_domain", costs=True)
""")

    passed(quick_project.run(), 10)


def test_the_imported_tests_fail_where_models_and_revisions_differ(project: Project) -> None:
    project.write("""
import pytest
from sqlalchemy import Column, Integer, MetaData, Table
from dbschema.models import metadata
from dbschema.testing.tests import *

@pytest.fixture(scope="session")
def db_metadata():
    changed = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(changed)
    changed.info.update(metadata.info)
    Table("forgotten", changed, Column("id", Integer, primary_key=True))
    return changed
""")

    done = project.run()

    assert "2 passed" in done.stdout, done.stdout
    assert "1 failed" in done.stdout
    assert "missing table forgotten" in done.stdout
    assert "alembic revision --autogenerate" in done.stdout


def test_two_heads_are_found(project: Project) -> None:
    versions = project.folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (project.folder / "migrations" / "env.py").write_text(
        "from alembic import context\nfrom sqlalchemy import MetaData\n"
        "from dbschema.migrations import alembic_env\nalembic_env.run(context, MetaData())\n"
    )
    (project.folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    for name in ("one", "two"):
        (versions / f"{name}.py").write_text(
            f'revision = "{name}"\ndown_revision = None\ndef upgrade(): pass\ndef downgrade(): pass\n'
        )
    project.write("from dbschema.testing.tests import test_each_folder_of_revisions_has_one_head")

    done = project.run()

    assert "merge them with 'alembic merge'" in done.stdout, done.stdout + done.stderr


def test_the_workers_of_a_run_share_one_template_and_remove_everything(
    project: Project, server: TestServer
) -> None:
    project.write("""
import os
import pytest

@pytest.mark.parametrize("time", range(8))
def test_it(db_connection, db_template, time, worker_id):
    name = db_connection.engine.url.database
    assert name.endswith(worker_id)
    assert db_template.endswith("_template")
    prefix = db_template.removesuffix("template")
    assert name == prefix + worker_id
    with open("prefix", "a") as file:
        file.write(prefix + "\\n")
""")

    done = project.run("-n", "2")

    passed(done, 8)
    (prefix,) = set((project.folder / "prefix").read_text().split())
    assert databases(server, prefix) == []


def test_a_run_without_a_database_makes_nothing(tmp_path: Path, temporary: Path) -> None:
    private = Project(tmp_path, None, temporary)
    private.write("""
import sys

def test_it():
    assert not {"sqlalchemy", "alembic", "rich_argparse"} & set(sys.modules)
""")

    done = private.run()

    passed(done, 1)
    assert list(temporary.glob("dbschema-*")) == []


@pytest.fixture
def new_role(server: TestServer) -> Iterator[Callable[[str], str]]:
    """Makes login roles with these attributes, whose password is 'secret of the role', and gives their names."""
    made: list[sql.Identifier] = []
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:

        def make(attributes: str) -> str:
            name = f"poor_{uuid4().hex[:8]}"
            statement = "CREATE ROLE {} LOGIN PASSWORD 'secret of the role' " + attributes
            made.append(sql.Identifier(name))
            connection.execute(sql.SQL(statement).format(made[-1]))
            return name

        yield make
        for role in made:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("", "TestingError: No database for the tests can be created beside"),
        ("CREATEDB CREATEROLE", 'permission denied to create extension "postgis"'),
    ],
)
def test_a_role_that_may_not_make_the_template_is_told_what_it_needs(
    project: Project, server: TestServer, new_role: Callable[[str], str], attributes: str, told: str
) -> None:
    role = new_role(attributes)
    url = f"postgresql://{role}:secret%20of%20the%20role@{server.host}:{server.port}/postgres"
    poor = Project(project.folder, url)
    poor.write("def test_it(db_connection): pass")

    done = poor.run()

    assert told in done.stdout, done.stdout + done.stderr
    assert "CREATEDB" in done.stdout or attributes
    assert "secret of the role" not in done.stdout


@pytest.fixture
def poor(project: Project, server: TestServer, new_role: Callable[[str], str]) -> Project:
    """A project whose role may create databases and acts for applications, but makes no extension and no role."""
    role = new_role("CREATEDB IN ROLE dbschema_app, dbschema_search")
    return Project(
        project.folder, f"postgresql://{role}:secret%20of%20the%20role@{server.host}:{server.port}/postgres"
    )


@pytest.fixture
def prepared(server: TestServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a database that may be copied: migrated, or with the extensions alone."""
    migrated, name = request.param == "migrated", f"prepared_{uuid4().hex[:8]}"
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = server.url(name, driver="")
    if migrated:
        runner.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for extension in ("postgis", "btree_gist", "btree_gin"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        if migrated:
            connection.execute("GRANT SELECT ON alembic_version TO dbschema_app")
        connection.execute(f"ALTER DATABASE {name} IS_TEMPLATE true")
    yield name
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} IS_TEMPLATE false")
        connection.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("prepared", "by"), [("migrated", "option"), ("extensions", "setting")], indirect=["prepared"]
)
def test_a_role_that_may_only_create_databases_gets_copies_of_one_that_is_prepared(
    poor: Project, prepared: str, by: str
) -> None:
    poor.write("""
from sqlalchemy import create_engine, select, text
from dbschema.models import Incident, User
from dbschema.testing.tests import test_the_models_are_what_the_revisions_build

def test_commit(db_session, db_factory, db_connection):
    db_factory.make(User)
    db_session.commit()
    assert not db_connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = session_user"))

def test_asked(assert_isolated, assert_uses_index):
    assert_isolated(Incident)
    newest = select(Incident).order_by(Incident.created_at.desc(), Incident.id).limit(5)
    assert_uses_index(newest, "idx_incidents_created_at")

def test_alone(db_new_url):
    engine = create_engine(db_new_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_tables WHERE tablename = 'incidents'")) == 1
    engine.dispose()
""")

    if by == "option":
        done = poor.run("--dbschema-template", prepared)
    else:
        (poor.folder / "pytest.ini").write_text(f"[pytest]\ndbschema_template = {prepared}\n")
        done = poor.run()

    passed(done, 4)


@pytest.mark.parametrize("prepared", ["extensions"], indirect=True)
def test_revisions_are_proved_on_a_copy_with_the_extensions(poor: Project, prepared: str) -> None:
    poor.write("""
from dbschema.testing.tests import *
""")

    done = poor.run("--dbschema-template", prepared)

    passed(done, 3)


def test_a_template_that_cannot_be_copied_is_named_with_what_it_needs(
    poor: Project, fresh_database: str
) -> None:
    name = str(make_url(fresh_database).database)
    poor.write("def test_it(db_connection): pass")

    for source in (name, "nowhere"):
        done = poor.run("--dbschema-template", source)

        assert f"can be created from {source}" in done.stdout, done.stdout + done.stderr
        assert f"ALTER DATABASE {source} IS_TEMPLATE true" in done.stdout
        assert done.returncode == 1


def test_a_template_without_its_server_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    private = Project(tmp_path, None)
    private.write("def test_it(): pass")

    done = private.run("--dbschema-template", "nowhere")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--dbschema-url, which is missing" in done.stderr
