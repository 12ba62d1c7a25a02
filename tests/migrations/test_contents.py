"""What stands in a database beside extensions and the version table."""

from __future__ import annotations

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from dbschema.migrations import contents


def test_tables_of_any_name_are_counted_and_those_of_extensions_are_not(fresh_database: str) -> None:
    with create_engine(fresh_database, poolclass=NullPool).connect() as connection:
        connection.execute(text("CREATE EXTENSION postgis"))
        connection.execute(text("CREATE TABLE alembic_version (); CREATE TABLE \"a '50%' \\:b\" (id int)"))
        connection.execute(text("CREATE VIEW v AS SELECT 1; CREATE SCHEMA other; CREATE TABLE other.t ()"))
        connection.execute(text("INSERT INTO \"a '50%' \\:b\" VALUES (1), (2)"))

        assert contents.row_counts(connection) == {"a '50%' :b": 2}
        assert contents.relations(connection) == ("a '50%' :b", "v")


def test_an_empty_database_has_nothing(fresh_database: str) -> None:
    with create_engine(fresh_database, poolclass=NullPool).connect() as connection:
        assert contents.row_counts(connection) == {}
        assert contents.relations(connection) == ()
