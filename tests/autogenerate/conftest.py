"""A scenario: a database as one metadata declares it, autogenerate towards another, the revision up and down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import NullPool, create_engine

from dbschema.autogenerate.render import render_item
from dbschema.catalog import Catalog, introspect
from dbschema.ddl import Extension, Role, declared
from dbschema.migrations.alembic_env import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.operations.ops import MigrationScript
    from sqlalchemy import Connection, MetaData


OPTIONS: dict[str, Any] = {
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": list(PLUGINS),
    "sqlalchemy_module_prefix": "sa.",
    "alembic_module_prefix": "op.",
    "user_module_prefix": None,
}


@pytest.fixture(scope="session")
def scratch(server: Any) -> Iterator[str]:
    """The URL of an empty database that every test leaves empty."""
    janitor = DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=f"autogenerate_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}",
        template_dbname="template0",
    )
    janitor.drop()
    janitor.init()
    yield server.url(janitor.dbname)
    janitor.drop()


@pytest.fixture
def connection(scratch: str) -> Iterator[Connection]:
    """A connection to the empty database; what is done in it is rolled back."""
    engine = create_engine(scratch, poolclass=NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


class Scenario:
    """Everything happens in one transaction, which the fixture rolls back."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.extensions: set[str] = set()
        self.roles: set[str] = set()
        self.schemas: tuple[str, ...] = ()

    def execute(self, sql: str) -> None:
        """By the driver itself, which then takes no percent sign for a parameter."""
        driver: Any = self.connection.connection.driver_connection
        driver.execute(sql)

    def catalog(self, *metadatas: MetaData) -> Catalog:
        """What the database has; of extensions and roles those that one of the metadatas declares."""
        for metadata in metadatas:
            self.extensions |= {item.name for item in declared(metadata) if isinstance(item, Extension)}
            self.roles |= {item.name for item in declared(metadata) if isinstance(item, Role)}
        return introspect.read(
            self.connection,
            schemas={None: None} | {name: name for name in self.schemas},
            extensions=self.extensions,
            roles=self.roles,
        )

    def expected(self, metadata: MetaData) -> Catalog:
        """What the database has after `create_all()`."""
        with self.connection.begin_nested() as savepoint:
            metadata.create_all(self.connection)
            catalog = self.catalog(metadata)
            savepoint.rollback()
        return catalog

    def autogenerate(self, metadata: MetaData, **options: Any) -> MigrationScript:
        context = MigrationContext.configure(
            self.connection, opts={**OPTIONS, "target_metadata": metadata, **options}
        )
        return produce_migrations(context, metadata)

    def source(self, operations: Any) -> str:
        """The body of upgrade() or downgrade(), as it stands in a revision."""
        context = MigrationContext.configure(self.connection)
        code = render_python_code(operations, render_item=render_item, migration_context=context)
        lines = ["import sqlalchemy as sa", *GEO, "", "", "def step():", f"    {code}", ""]
        return "\n".join(lines)

    def run(self, source: str) -> None:
        operations = Operations(MigrationContext.configure(self.connection))
        scope: dict[str, Any] = {"op": operations}
        exec(compile(source, "revision", "exec"), scope)
        scope["step"]()

    def check(
        self,
        before: MetaData,
        after: MetaData,
        *,
        drift: str = "",
        left: tuple[str, ...] = (),
        back: bool = False,
        schemas: tuple[str, ...] = (),
        **options: Any,
    ) -> tuple[str, str]:
        """From `before` (and what was done by hand since) to `after` and back; gives the sources of up and down.

        Args:
            before, after: what is there, and what is wanted.
            drift: done by hand in between.
            left: kinds of which that may stay.
            back: autogenerate towards `before` again, too.
            schemas: read beside the default schema.
            options: of the environment.
        """
        self.schemas = schemas
        expected = self.expected(after)
        before.create_all(self.connection)
        if drift:
            self.execute(drift)
        found = self.catalog(before, after)

        script = self.autogenerate(after, **options)
        up, down = self.source(script.upgrade_ops), self.source(script.downgrade_ops)
        assert "dbschema" not in up.replace("dbschema_", "") + down.replace("dbschema_", "")

        self.run(up)
        reached = self.catalog()
        assert differences(expected, without(reached, expected, {"extension", "role", *left})) == []
        assert self.autogenerate(after, **options).upgrade_ops.as_diffs() == []

        if back:
            with self.connection.begin_nested() as savepoint:
                script = self.autogenerate(before, **options)
                self.run(self.source(script.upgrade_ops))
                assert differences(found, without(self.catalog(), found, {"extension", "role"})) == []
                self.run(self.source(script.downgrade_ops))
                assert differences(reached, self.catalog()) == []
                savepoint.rollback()

        self.run(down)
        assert differences(found, self.catalog()) == []
        return up, down


GEO = ("from geoalchemy2 import Geography, Geometry", "from sqlalchemy.dialects import postgresql")


def differences(expected: Catalog, actual: Catalog) -> list[str]:
    """Every entry that differs, also one that comes with another."""
    names = sorted({*expected.entries, *actual.entries}, key=str)
    return [
        f"{name}: {expected.entries.get(name)} -> {actual.entries.get(name)}"
        for name in names
        if expected.entries.get(name) != actual.entries.get(name)
    ]


def without(catalog: Catalog, other: Catalog, kinds: set[str]) -> Catalog:
    """`catalog` without what only it has of these kinds: what is no longer declared stays with its cluster."""
    return Catalog(
        {item: it for item, it in catalog.entries.items() if item.kind not in kinds or item in other}
    )


@pytest.fixture
def scenario(connection: Connection) -> Scenario:
    return Scenario(connection)
