"""Roles belong to the server: their attributes are compared, and whether they belong to a database is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from dbschema import catalog
from dbschema.catalog.prerequisites import roles_in_database
from dbschema.ddl import Function, Grant, Policy, Role, declare, declare_for

if TYPE_CHECKING:
    from sqlalchemy import Connection


@pytest.fixture
def metadata(worker_role: str) -> MetaData:
    """A table, and a role that may read it."""
    metadata = MetaData()
    table = Table("readable", metadata, Column("id", Integer, primary_key=True))
    declare(metadata, Role(worker_role, settings=(("statement_timeout", "5s"), ("jit", "off"))))
    declare_for(table, Grant(("SELECT",), "TABLE", "readable", worker_role))
    return metadata


def reported(connection: Connection, metadata: MetaData) -> list[str]:
    """What is told of roles and of what they own."""
    kinds = {"role", "function", "grant"}
    differences = catalog.check(connection, metadata, ignore=lambda identity: identity.kind not in kinds)
    return [
        str(item)
        for item in differences
        if "dbschema_" not in str(item) and not ("()" in item.name or "search_" in item.name)
    ]


def test_a_role_as_it_was_made_does_not_differ(connection: Connection, metadata: MetaData) -> None:
    metadata.create_all(connection)

    assert reported(connection, metadata) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER ROLE {role} BYPASSRLS", "bypass row-level security is yes, wanted no"),
        ("ALTER ROLE {role} SUPERUSER", "superuser is yes, wanted no"),
        ("ALTER ROLE {role} CREATEROLE", "create role is yes, wanted no"),
        ("ALTER ROLE {role} CREATEDB", "create database is yes, wanted no"),
        ("ALTER ROLE {role} LOGIN", "login is yes, wanted no"),
        ("ALTER ROLE {role} REPLICATION", "replication is yes, wanted no"),
        ("ALTER ROLE {role} CONNECTION LIMIT 3", "connection limit is 3, wanted none"),
        (
            "ALTER ROLE {role} SET jit = 'on'",
            "settings is (jit=on, statement_timeout=5s), wanted (jit=off, statement_timeout=5s)",
        ),
        (
            "ALTER ROLE {role} RESET jit",
            "settings is (statement_timeout=5s), wanted (jit=off, statement_timeout=5s)",
        ),
        (
            "ALTER ROLE {role} IN DATABASE {database} SET row_security = 'off'",
            "settings in this database is (row_security=off), wanted ()",
        ),
        ("GRANT pg_read_all_data TO {role}", "member of is (pg_read_all_data), wanted ()"),
    ],
)
def test_a_role_that_was_changed_by_hand(
    connection: Connection, metadata: MetaData, worker_role: str, change: str, difference: str
) -> None:
    metadata.create_all(connection)
    database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    connection.exec_driver_sql(change.format(role=worker_role, database=database))

    assert reported(connection, metadata) == [f"role {worker_role}: {difference}"]


def test_a_missing_role_is_told(connection: Connection, metadata: MetaData, worker_role: str) -> None:
    metadata.create_all(connection)
    connection.exec_driver_sql(f"REVOKE ALL ON readable FROM {worker_role}; DROP ROLE {worker_role}")

    assert reported(connection, metadata) == [
        f"missing role {worker_role}",
        f"missing grant TABLE readable TO {worker_role}",
    ]


def test_a_role_that_nobody_declared_is_not_told(
    connection: Connection, metadata: MetaData, worker_role: str
) -> None:
    metadata.create_all(connection)
    connection.exec_driver_sql(f"CREATE ROLE {worker_role}_other SUPERUSER")

    assert reported(connection, metadata) == []


def test_a_function_of_a_role_is_wanted_as_its_own(
    connection: Connection, metadata: MetaData, worker_role: str
) -> None:
    """The copy belongs to who compares; who that is need not be a member of the role."""
    declare(
        metadata,
        Function("owned", "int", "SELECT 1", language="sql", owner=worker_role),
        Grant(("EXECUTE",), "FUNCTION", "owned()", worker_role),
    )
    metadata.create_all(connection)

    before = catalog.check(connection, metadata, ignore=lambda identity: "owned" not in identity.name)
    connection.exec_driver_sql("ALTER FUNCTION owned() OWNER TO CURRENT_USER")
    after = catalog.check(connection, metadata, ignore=lambda identity: "owned" not in identity.name)

    assert before == ()
    assert [str(item) for item in after] == [f"function owned(): owner is none, wanted '{worker_role}'"]


class TestBelonging:
    """A role may have been made for another database of the server."""

    def test_a_role_that_is_not_there(
        self, connection: Connection, metadata: MetaData, worker_role: str
    ) -> None:
        assert roles_in_database(connection, metadata) == {worker_role: False}

    def test_a_role_that_another_database_made(
        self, connection: Connection, metadata: MetaData, worker_role: str
    ) -> None:
        connection.exec_driver_sql(f"CREATE ROLE {worker_role}")

        assert roles_in_database(connection, metadata) == {worker_role: False}

    @pytest.mark.parametrize(
        "statement",
        [
            "GRANT SELECT ON users TO {role}",
            "CREATE POLICY mine ON users TO {role}",
            "CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO {role}",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}",
        ],
    )
    def test_a_role_that_something_in_the_database_depends_on(
        self, connection: Connection, metadata: MetaData, worker_role: str, statement: str
    ) -> None:
        connection.exec_driver_sql(
            f"CREATE ROLE {worker_role}; GRANT CREATE ON SCHEMA public TO {worker_role}"
        )
        connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {worker_role}")
        connection.exec_driver_sql(statement.format(role=worker_role))

        assert roles_in_database(connection, metadata) == {worker_role: True}

    def test_a_role_to_which_nothing_is_granted_belongs_wherever_it_is(
        self, connection: Connection, worker_role: str
    ) -> None:
        metadata = MetaData()
        table = Table("t", metadata, Column("id", Integer))
        declare(metadata, Role(worker_role))
        declare_for(table, Policy("mine", "t", using="true", roles=(worker_role,)))
        connection.exec_driver_sql(f"CREATE ROLE {worker_role}")

        assert roles_in_database(connection, metadata) == {worker_role: True}
