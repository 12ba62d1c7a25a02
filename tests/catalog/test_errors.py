"""What cannot be compared is said in one line, with the thing, the place and the next step."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import DDL, Column, ForeignKey, Integer, MetaData, NullPool, Table, create_engine, event

from dbschema import catalog
from dbschema.ddl import Extension, Policy, Role, declare, declare_for
from dbschema.errors import CatalogError, DbSchemaError, DeclarationError, MissingPrivilege, NotWritable
from dbschema.models import metadata as our_models
from dbschema.testing import place
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


def refusal(connection: Connection, metadata: MetaData, kind: type[DbSchemaError]) -> str:
    """The message of the error that the comparison ends with."""
    with pytest.raises(kind) as caught:
        catalog.check(connection, metadata)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert message == f"{caught.value.what}. {caught.value.next_step}."
    return message


def test_a_role_that_may_not_create_a_schema(fresh_engine: Engine, committed_role: str) -> None:
    with fresh_engine.connect() as connection:
        our_models.create_all(connection)
        connection.exec_driver_sql(f"SET LOCAL ROLE {committed_role}")

        message = refusal(connection, our_models, MissingPrivilege)

    assert f"GRANT CREATE ON DATABASE {fresh_engine.url.database} TO {committed_role}" in message


def test_an_extension_that_the_role_may_not_create(fresh_engine: Engine, committed_role: str) -> None:
    with fresh_engine.connect() as connection:
        database = fresh_engine.url.database
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {database} TO {committed_role}")
        connection.exec_driver_sql(f"SET LOCAL ROLE {committed_role}")
        metadata = MetaData()
        declare(metadata, Extension("postgis"))

        message = refusal(connection, metadata, CatalogError)

    assert message.startswith(
        f"The extension 'postgis' is not in database '{database}' and cannot be created"
    )
    assert message.endswith("Have an administrator run: CREATE EXTENSION postgis.")


def test_an_extension_that_the_server_does_not_have(fresh_engine: Engine) -> None:
    metadata = MetaData()
    declare(metadata, Extension("no_such_extension"))
    with fresh_engine.connect() as connection:
        message = refusal(connection, metadata, CatalogError)

    assert "Install its package on the server, then run: CREATE EXTENSION no_such_extension" in message


def test_a_role_that_is_missing_and_may_not_be_created(fresh_engine: Engine, committed_role: str) -> None:
    metadata = MetaData()
    declare(metadata, Role("nobody_there", settings=(("jit", "off"),)))
    with fresh_engine.connect() as connection:
        connection.exec_driver_sql(
            f"GRANT CREATE ON DATABASE {fresh_engine.url.database} TO {committed_role}"
        )
        connection.exec_driver_sql(f"SET LOCAL ROLE {committed_role}")

        message = refusal(connection, metadata, MissingPrivilege)

    assert message == (
        f"The role 'nobody_there' is not on the server, and '{committed_role}' may not create roles. Have an"
        " administrator run: CREATE ROLE nobody_there NOLOGIN; ALTER ROLE nobody_there SET jit = 'off'."
    )


def test_a_read_only_transaction(connection: Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    assert "default_transaction_read_only" in refusal(connection, our_models, NotWritable)


def test_a_failed_transaction(fresh_engine: Engine, plain_metadata: MetaData) -> None:
    with fresh_engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with pytest.raises(Exception, match="division by zero"):
            driver.execute("SELECT 1 / 0")

        assert "Roll it back" in refusal(connection, plain_metadata, CatalogError)


def test_a_search_path_that_leads_nowhere(fresh_engine: Engine, plain_metadata: MetaData) -> None:
    with fresh_engine.connect() as connection:
        connection.exec_driver_sql("SET search_path TO nowhere")

        message = refusal(connection, plain_metadata, CatalogError)

    assert f"that database '{fresh_engine.url.database}' has" in message


def test_a_statement_that_the_server_refuses_is_named(fresh_engine: Engine, plain_metadata: MetaData) -> None:
    """In a batch of thousands, the server does not say which one it was."""
    declare_for(plain_metadata.tables["things"], Policy("mine", "things", using="owner = 'me'"))
    with fresh_engine.connect() as connection:
        message = refusal(connection, plain_metadata, DeclarationError)

    assert 'column "owner" does not exist' in message
    assert "(in: CREATE POLICY mine ON things USING (owner = 'me'))" in message


def test_a_long_statement_is_not_quoted_whole(fresh_engine: Engine, plain_metadata: MetaData) -> None:
    body = ", ".join(f"{number} AS c{number}" for number in range(1000))
    event.listen(plain_metadata, "after_create", DDL(f"CREATE VIEW wide AS SELECT {body} FROM nowhere"))
    with fresh_engine.connect() as connection:
        assert len(refusal(connection, plain_metadata, DeclarationError)) < 400


def test_a_foreign_key_that_refers_to_nothing_unique_is_a_fault_of_the_models(fresh_engine: Engine) -> None:
    metadata = MetaData()
    Table("one", metadata, Column("id", Integer))
    Table("two", metadata, Column("one_id", ForeignKey("one.id", ondelete="SET NULL (one_id)")))
    with fresh_engine.connect() as connection:
        message = refusal(connection, metadata, DeclarationError)

    assert "there is no unique constraint matching given keys" in message


def test_a_model_that_cannot_be_written_as_sql_is_at_fault_too(fresh_engine: Engine) -> None:
    metadata = MetaData()
    Table("one", metadata, Column("id", Integer, primary_key=True))
    Table(
        "two", metadata, Column("one_id", ForeignKey("one.id", comment="a comment needs a name to stand on"))
    )
    with fresh_engine.connect() as connection:
        message = refusal(connection, metadata, DeclarationError)

    assert "Can't emit COMMENT ON for constraint" in message


def test_a_timeout_is_not_blamed_on_the_models(fresh_engine: Engine) -> None:
    metadata = MetaData()
    event.listen(metadata, "after_create", DDL("CREATE TABLE slow AS SELECT pg_sleep(5)::text AS slept"))
    with fresh_engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout TO '150ms'")

        message = refusal(connection, metadata, CatalogError)

    assert "cannot be read" in message
    assert "statement timeout" in message


def test_a_lost_connection_is_told_as_such(fresh_engine: Engine, fresh_database: str) -> None:
    metadata = MetaData()
    event.listen(metadata, "after_create", DDL("SELECT pg_terminate_backend(pg_backend_pid())"))
    with fresh_engine.connect() as connection:
        message = refusal(connection, metadata, CatalogError)
        connection.invalidate()

    assert "cannot be read" in message
    assert "terminating connection" in message


@pytest.fixture
def small_server() -> Iterator[str]:
    """The URL of a server with little room for locks."""
    folder = Path(mkdtemp(prefix="dbschema-test-", dir=place.folder()))
    folder.chmod(0o755)  # started by root, the server runs as another user, who has to get there
    options = {"max_locks_per_transaction": "10", "max_connections": "10", "fsync": "off"}
    server = PrivateServer(folder / "server", options=options)
    try:
        yield server.start().url("postgres", driver="psycopg")
    finally:
        server.destroy()
        rmtree(folder, ignore_errors=True)


def test_more_locks_than_the_server_has_room_for(small_server: str, plain_metadata: MetaData) -> None:
    for number in range(400):
        Table(
            f"table_{number}",
            plain_metadata,
            Column("id", Integer, primary_key=True),
            Column("note", Integer, index=True),
        )
    engine = create_engine(small_server, poolclass=NullPool)
    with engine.connect() as connection:
        message = refusal(connection, plain_metadata, CatalogError)

    assert message.startswith("Building the 401 tables of the models in one transaction")
    assert "Raise max_locks_per_transaction (10 now)" in message
