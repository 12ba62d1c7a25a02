"""A comparison leaves nothing behind: no object, no setting, no lock, no transaction begun or ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import DDL, Connection, MetaData, NullPool, create_engine, event

from dbschema import catalog
from dbschema.catalog import desired
from dbschema.errors import DeclarationError
from dbschema.models import metadata as our_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

# A library that is loaded, such as that of plpgsql, brings settings of its own, with a dot in their names.
SETTINGS = "SELECT name, setting FROM pg_settings WHERE position('.' IN name) = 0"
# Roles are the whole server's, where tests beside make their own: of them, those that the models here declare.
OBJECTS = """
SELECT 'schema', nspname::text FROM pg_namespace
UNION ALL SELECT 'role', rolname FROM pg_roles WHERE rolname ~ '^dbschema'
UNION ALL SELECT 'extension', extname FROM pg_extension
UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class
UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc
UNION ALL SELECT 'type', oid::regtype::text FROM pg_type
UNION ALL SELECT 'default privileges', oid::text || defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'prepared', statement FROM pg_prepared_statements
"""
# The server keeps the lock on a sequence until its transaction ends, even of one that is no longer there.
LOCKS = """
SELECT c.oid::regclass::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.relation >= 16384
"""


def rows(connection: Connection, query: str) -> set[Any]:
    return {tuple(row) for row in connection.exec_driver_sql(query)}


def state(connection: Connection) -> dict[str, Any]:
    """What a session can see of itself and of the database."""
    driver: Any = connection.connection.driver_connection
    status = driver.info.transaction_status
    begun = connection.in_transaction()
    seen = {query: rows(connection, query) for query in (SETTINGS, OBJECTS, LOCKS)}
    if not begun and not driver.autocommit:
        connection.rollback()
    return seen | {"status": status, "begun": begun}


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(database, poolclass=NullPool)
    yield engine
    engine.dispose()


def test_a_connection_without_a_transaction_has_none_afterwards(engine: Engine) -> None:
    with engine.connect() as connection:
        before = state(connection)

        assert catalog.check(connection, our_models) == ()

        assert not connection.in_transaction()
        assert state(connection) == before


def test_a_connection_that_commits_by_itself(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET search_path TO public, pg_catalog; SET statement_timeout TO '1min'")
        before = state(connection)

        assert catalog.check(connection, our_models) == ()

        assert state(connection) == before


def test_a_transaction_that_was_begun_by_hand_under_autocommit(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("CREATE TABLE half (id int)")
        before = state(connection)

        assert [str(item) for item in catalog.check(connection, our_models)] == ["extra table half"]

        assert state(connection) == before
        connection.exec_driver_sql("ROLLBACK")


def test_work_that_is_not_committed_is_compared_and_kept(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SET LOCAL lock_timeout TO '3s'; SET search_path TO public")
        connection.exec_driver_sql("CREATE TABLE half (id int)")
        before = state(connection)

        assert [str(item) for item in catalog.check(connection, our_models)] == ["extra table half"]

        assert state(connection) == before
        assert transaction.is_active
        transaction.commit()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM half").scalar() == 0


def test_a_savepoint_of_the_caller_is_still_there(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE kept (id int)")
        with connection.begin_nested() as nested:
            connection.exec_driver_sql("CREATE TABLE dropped (id int)")
            catalog.check(connection, our_models)
            nested.rollback()

        assert [str(item) for item in catalog.check(connection, our_models)] == ["extra table kept"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_comparison_that_fails_leaves_nothing_either(
    engine: Engine, plain_metadata: MetaData, begun: bool
) -> None:
    event.listen(plain_metadata, "after_create", DDL("CREATE VIEW broken AS SELECT nothing FROM nowhere"))
    with engine.connect() as connection:
        if begun:
            connection.exec_driver_sql("SELECT 1")
        before = state(connection)

        with pytest.raises(DeclarationError):
            catalog.check(connection, plain_metadata)

        assert state(connection) == before


def test_real_tables_are_locked_against_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end, when the copy stands beside the real tables, nothing but AccessShareLock is on these."""
    seen: list[set[Any]] = []
    add = desired.add

    def look(cursor: Any, *args: Any) -> None:
        cursor.execute(
            "SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace"
        )
        seen.append(set(cursor.fetchall()))
        add(cursor, *args)

    monkeypatch.setattr(desired, "add", look)

    catalog.check(connection, our_models)

    (locks,) = seen
    assert {mode for _, mode in locks} <= {"AccessShareLock"}


def test_two_at_once_do_not_disturb_each_other(
    fresh_database: str, everything: MetaData, worker_role: str
) -> None:
    """Both have to create the extensions and the role that are missing, for as long as they compare."""
    engine = create_engine(fresh_database, poolclass=NullPool)
    barrier = Barrier(2)

    def compare(_: int) -> list[str]:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET lock_timeout TO '60s'")
            barrier.wait()
            return [str(item) for item in catalog.check(connection, everything)]

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(compare, range(2))

    assert first == second
    assert f"missing role {worker_role}" in first


def test_a_table_that_others_write_to_does_not_hold_it_up(engine: Engine) -> None:
    with engine.connect() as other, engine.connect() as connection:
        other.exec_driver_sql("LOCK TABLE users IN EXCLUSIVE MODE")
        connection.exec_driver_sql("SET lock_timeout TO '2s'")

        assert catalog.check(connection, our_models) == ()
