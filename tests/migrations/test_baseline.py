"""A database that other means have built is adopted only where it is what the models declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from dbschema import catalog
from dbschema.connect import resolve
from dbschema.migrations import lock, runner
from dbschema.migrations.baseline import baseline, without_foreign
from dbschema.migrations.errors import BrokenScripts, DatabaseNewer, RunnerBusy, UnexpectedState
from dbschema.migrations.history import History
from dbschema.migrations.timeouts import Timeouts
from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from dbschema.catalog import Difference

HEAD = str(History().head)


def compare(connection: Connection) -> Sequence[Difference]:
    return catalog.check(connection, metadata)


@pytest.fixture
def built(fresh_database: str) -> str:
    """A database with everything that the models declare, made without any revision."""
    engine = create_engine(fresh_database)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    return fresh_database


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def current(url: str) -> tuple[str, ...]:
    return runner.status(url).current


def test_an_equal_database_is_recorded_as_upgraded(built: str) -> None:
    done = baseline(built, compare)

    assert (done.revision, done.differences, done.recorded) == (HEAD, (), True)
    assert current(built) == (HEAD,)
    assert runner.upgrade(built).steps == ()


def test_nothing_but_the_record_is_changed(built: str) -> None:
    engine = create_engine(built)
    with engine.connect() as connection:
        before = catalog.actual(connection, metadata, positions=True)

    baseline(built, compare)

    with engine.connect() as connection:
        assert catalog.actual(connection, metadata, positions=True) == before
    engine.dispose()


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER TABLE orders DROP COLUMN currency",
        "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
        "DROP TRIGGER update_users_updated_at ON users",
        "CREATE POLICY everybody ON users USING (true)",
        "GRANT SELECT ON users TO PUBLIC",
        "CREATE TABLE orders_old (id int)",
    ],
)
def test_a_different_database_is_told_and_not_recorded(built: str, drift: str) -> None:
    execute(built, drift)

    done = baseline(built, compare)

    assert done.differences
    assert not done.recorded
    assert current(built) == ()


def test_tables_of_others_can_be_allowed_and_what_they_add_to_ours_cannot(built: str) -> None:
    def tolerant(connection: Connection) -> Sequence[Difference]:
        return without_foreign(compare(connection), metadata)

    execute(
        built,
        "CREATE TABLE legacy (id serial PRIMARY KEY, note text)",
        "CREATE VIEW legacy_notes AS SELECT note FROM legacy",
        "CREATE TYPE mood AS ENUM ('well')",
        "CREATE FUNCTION legacy_sum() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE POLICY everybody ON users USING (true)",
    )

    refused = baseline(built, tolerant)
    execute(built, "DROP POLICY everybody ON users")
    accepted = baseline(built, tolerant)

    assert [(one.kind, one.name) for one in refused.differences] == [("policy", "everybody on users")]
    assert accepted.recorded


def test_a_second_time_it_compares_and_records_nothing(built: str) -> None:
    baseline(built, compare)

    again = baseline(built, compare)
    execute(built, "ALTER TABLE orders DROP COLUMN currency")
    changed = baseline(built, compare)

    assert (again.differences, again.recorded) == ((), False)
    assert changed.differences
    assert current(built) == (HEAD,)


def test_an_empty_database_is_to_be_upgraded(fresh_database: str) -> None:
    with pytest.raises(UnexpectedState, match=r"no table.*dbschema upgrade"):
        baseline(fresh_database, compare)

    assert current(fresh_database) == ()


def test_the_refusal_of_an_upgrade_names_the_way_of_adoption(built: str) -> None:
    with pytest.raises(UnexpectedState, match="dbschema baseline"):
        runner.upgrade(built)


def test_a_database_with_an_older_revision_is_to_be_upgraded(fresh_database: str, write_history: Any) -> None:
    history: Path = write_history(one='op.execute("CREATE TABLE a (id int)")', two="pass")
    runner.upgrade(fresh_database, "one", location=history)

    with pytest.raises(UnexpectedState, match="has a revision already, one, and the newest one is two"):
        baseline(fresh_database, lambda _: (), location=history)

    assert current_of(fresh_database, history) == ("one",)


def current_of(url: str, history: Path) -> tuple[str, ...]:
    return runner.status(url, location=history).current


def test_a_database_of_newer_code_is_left_alone(built: str) -> None:
    execute(
        built,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('ffffffffffff')",
    )

    with pytest.raises(DatabaseNewer):
        baseline(built, compare)


def test_scripts_without_a_revision_have_nothing_to_record(built: str, write_history: Any) -> None:
    with pytest.raises(BrokenScripts):
        baseline(built, compare, location=write_history())


def test_it_waits_for_a_run_on_the_same_database_and_gives_up_in_time(built: str) -> None:
    told: list[str] = []
    parts = (lock.KEY,)
    with psycopg.connect(resolve(built).libpq_url(), autocommit=True, application_name="the other") as other:
        other.execute("SELECT pg_advisory_lock(%s)", parts)

        with pytest.raises(RunnerBusy, match="the other"):
            baseline(built, compare, on_wait=told.append, timeouts=Timeouts(wait=0.2))

    assert "the other" in told[0]
    assert current(built) == ()


def test_a_failing_comparison_records_nothing(built: str) -> None:
    def broken(connection: Connection) -> Sequence[Difference]:
        connection.execute(text("SELECT 1"))
        raise RuntimeError("the comparison broke")

    with pytest.raises(RuntimeError, match="broke"):
        baseline(built, broken)

    assert current(built) == ()
