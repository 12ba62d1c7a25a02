"""The models in a throw-away schema say what the same models say in a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import DDL, Column, ForeignKey, Integer, MetaData, Sequence, Table, event
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from dbschema import catalog
from dbschema.catalog import desired, offline, session
from dbschema.catalog.predicted import NothingPredicted
from dbschema.catalog.session import scratch
from dbschema.models import metadata as our_models

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from dbschema.catalog import Catalog


def built(connection: Connection, metadata: MetaData, *, short: bool) -> Catalog:
    """The models built in the short way, or in the long one."""
    with scratch(connection) as cursor:
        building = desired.DesiredState(connection, metadata, session.locate(cursor))
        if not short:
            building._temporary = building._use_predictions = False
        result = building.build(cursor)
        assert building._use_predictions is short
        return result


def create(connection: Connection, metadata: MetaData) -> None:
    """Create all, with the indexes that are made concurrently as `create_all()` can: not concurrently."""
    concurrent = [
        index.dialect_options["postgresql"]
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["concurrently"]
    ]
    for options in concurrent:
        options["concurrently"] = False
    metadata.create_all(connection)
    for options in concurrent:
        options["concurrently"] = True


@pytest.fixture(params=["ours", "everything"])
def metadata(request: pytest.FixtureRequest, everything: MetaData) -> MetaData:
    return everything if request.param == "everything" else our_models


def test_the_short_way_and_the_long_way_give_the_same(fresh_engine: Engine, metadata: MetaData) -> None:
    """Whatever is left out of the throw-away schema is known as the server would have printed it."""
    with fresh_engine.connect() as connection:
        short = built(connection, metadata, short=True)
        long = built(connection, metadata, short=False)

    assert catalog.compare(short, long) == ()
    assert dict(short.parents) == dict(long.parents)
    assert len(short) == len(long) > 70


def test_what_create_all_makes_is_what_the_models_want(fresh_engine: Engine, everything: MetaData) -> None:
    with fresh_engine.connect() as connection:
        create(connection, everything)

        assert catalog.check(connection, everything) == ()


def test_positions_of_columns_are_compared_only_when_asked_for(
    fresh_engine: Engine, plain_metadata: MetaData
) -> None:
    with fresh_engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (name varchar(20), id serial PRIMARY KEY)")

    with fresh_engine.connect() as connection:
        expected = catalog.expected(connection, plain_metadata, positions=True)
        actual = catalog.actual(connection, plain_metadata, positions=True)
        assert [str(item) for item in catalog.compare(expected, actual)] == [
            "column id on things: position is 2, wanted 1",
            "column name on things: position is 1, wanted 2",
        ]
        assert catalog.check(connection, plain_metadata) == ()


def test_an_empty_database_misses_all_tables_and_little_else(
    fresh_engine: Engine, worker_role: str, everything: MetaData
) -> None:
    """Extensions and roles that are missing are created for the comparison, and are gone after it."""
    with fresh_engine.connect() as connection:
        differences = [str(item) for item in catalog.check(connection, everything)]

        assert differences == [
            "missing extension btree_gist",
            "missing extension postgis",
            f"missing role {worker_role}",
            "missing table Things of others",
            "missing table owners",
            "missing table things",
            "missing sequence tickets",
            "missing enum mood",
            "missing domain rate",
            "missing composite type pair",
            "missing function find_things(mood, integer)",
            "missing function touch()",
            "missing view good_things",
            f"missing grant SCHEMA TO {worker_role}",
        ]
        assert connection.exec_driver_sql("SELECT extname FROM pg_extension").scalars().all() == ["plpgsql"]


NEEDS_THE_LONG_WAY = {
    "unlogged": "ALTER TABLE things SET UNLOGGED",
    "materialized view": "CREATE MATERIALIZED VIEW kept AS SELECT id FROM things",
    "replica identity by a key": "ALTER TABLE things REPLICA IDENTITY USING INDEX things_pkey",
    "clustered by a key": "ALTER TABLE things CLUSTER ON things_pkey",
    "grouping by a key": "CREATE VIEW counted AS SELECT id, name, count(*) FROM things GROUP BY id",
}


@pytest.mark.parametrize("statement", NEEDS_THE_LONG_WAY.values(), ids=NEEDS_THE_LONG_WAY.keys())
def test_what_the_short_way_cannot_build_is_built_in_the_long_one(
    fresh_engine: Engine, plain_metadata: MetaData, statement: str
) -> None:
    event.listen(plain_metadata, "after_create", DDL(statement))
    with fresh_engine.begin() as connection:
        plain_metadata.create_all(connection)
    with fresh_engine.connect() as connection:
        assert catalog.check(connection, plain_metadata) == ()
        connection.exec_driver_sql(
            "ALTER TABLE things ALTER COLUMN name TYPE varchar(30)"
            if "VIEW" not in statement
            else "DROP VIEW IF EXISTS counted; DROP MATERIALIZED VIEW IF EXISTS kept"
        )
        assert len(catalog.check(connection, plain_metadata)) == 1


def test_a_temporary_table_of_the_session_is_not_taken_for_a_model(
    fresh_engine: Engine, plain_metadata: MetaData
) -> None:
    with fresh_engine.connect() as connection:
        plain_metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TEMPORARY TABLE things (other text)")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE mine (id int)")

        differences = catalog.check(connection, plain_metadata)

        assert differences == ()
        assert connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0


def test_a_role_without_temporary_tables_compares_all_the_same(
    fresh_engine: Engine, plain_metadata: MetaData, worker_role: str
) -> None:
    with fresh_engine.connect() as connection:
        plain_metadata.create_all(connection)
        database = connection.engine.url.database
        connection.exec_driver_sql(
            f"CREATE ROLE {worker_role}; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
        )
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {database} TO {worker_role}")
        connection.exec_driver_sql(f"ALTER TABLE things OWNER TO {worker_role}; SET LOCAL ROLE {worker_role}")

        assert catalog.check(connection, plain_metadata) == ()
        connection.rollback()


def test_default_privileges_of_the_role_do_not_hide_what_they_have_done(
    fresh_engine: Engine, plain_metadata: MetaData, worker_role: str
) -> None:
    """Both sides are made by the same role: the copy would get the same extra privileges, and agree."""
    Sequence("numbers", metadata=plain_metadata)
    with fresh_engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {worker_role}")
        for what in ("SELECT ON TABLES", "USAGE ON SEQUENCES", "USAGE ON SCHEMAS"):
            connection.exec_driver_sql(f"ALTER DEFAULT PRIVILEGES GRANT {what} TO {worker_role}")
        connection.exec_driver_sql("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM CURRENT_USER")
        plain_metadata.create_all(connection)

        differences = [str(item) for item in catalog.check(connection, plain_metadata)]

        assert [line for line in differences if " grant " in line] == [
            f"extra grant SEQUENCE numbers TO {worker_role}",
            f"extra grant SEQUENCE things_id_seq TO {worker_role}",
            f"extra grant TABLE things TO {worker_role}",
        ]
        assert [line.split(" of ")[0] for line in differences if " grant " not in line] == [
            "extra default privileges SCHEMAS",
            "extra default privileges SEQUENCES",
            "extra default privileges TABLES",
        ]


def test_tables_that_refer_to_each_other_are_built(fresh_engine: Engine) -> None:
    metadata = MetaData()
    Table(
        "hens",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("egg_id", ForeignKey("eggs.id", name="fk_egg", use_alter=True)),
    )
    Table(
        "eggs",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("hen_id", ForeignKey("hens.id", name="fk_hen", use_alter=True, ondelete="SET NULL (hen_id)")),
    )
    with fresh_engine.begin() as connection:
        metadata.create_all(connection)

    with fresh_engine.connect() as connection:
        assert catalog.check(connection, metadata) == ()
        connection.exec_driver_sql("ALTER TABLE hens DROP CONSTRAINT fk_egg")
        assert [str(item) for item in catalog.check(connection, metadata)] == [
            "missing constraint fk_egg on hens"
        ]


def test_the_statements_can_be_made_in_several_threads(everything: MetaData) -> None:
    """GeoAlchemy2 takes indexes off a table while it is created; another thread would miss them, or fail."""

    def made(_: int) -> tuple[str, ...]:
        return tuple(
            offline.statements(everything, psycopg_dialect.dialect(), {None: "copy"}, NothingPredicted())
        )

    with ThreadPoolExecutor(4) as threads:
        results = set(threads.map(made, range(100)))

    assert len(results) == 1
