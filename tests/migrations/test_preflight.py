"""What stands in a database beside extensions and the version table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from dbschema.migrations import preflight

if TYPE_CHECKING:
    from collections.abc import Callable


def test_tables_of_any_name_are_counted_and_those_of_extensions_are_not(
    new_database: Callable[..., str],
) -> None:
    with psycopg.connect(new_database(driver="")) as connection:
        connection.execute("CREATE EXTENSION postgis")
        connection.execute("CREATE TABLE alembic_version (); CREATE TABLE \"a '50%' :b\" (id int)")
        connection.execute("CREATE VIEW v AS SELECT 1; CREATE SCHEMA other; CREATE TABLE other.t ()")
        connection.execute("INSERT INTO \"a '50%' :b\" VALUES (1), (2)")

        assert preflight.row_counts(connection) == {"a '50%' :b": 2}
        assert preflight.relations(connection) == ("a '50%' :b", "v")


def test_an_empty_database_has_nothing(new_database: Callable[..., str]) -> None:
    with psycopg.connect(new_database(driver="")) as connection:
        assert preflight.row_counts(connection) == {}
        assert preflight.relations(connection) == ()
