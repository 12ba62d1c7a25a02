"""Declarations bind to a MetaData, and come and go with its tables, for any MetaData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, NullPool, Table, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema.ddl import (
    Function,
    Grant,
    Policy,
    Role,
    RowSecurity,
    Trigger,
    declare,
    declare_for,
    declared,
    withdraw,
)
from dbschema.errors import DeclarationError
from dbschema.orm.mixins import TenantScoped, Timestamped, Versioned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

STAMP = Function("stamp", "trigger", "\nBEGIN\n    RETURN NEW;\nEND\n")


@pytest.fixture
def empty(fresh_database: str) -> Iterator[Connection]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def names(connection: Connection, query: str) -> list[str]:
    return [row[0] for row in connection.execute(text(query))]


TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
POLICIES = "SELECT polname FROM pg_policy ORDER BY 1"
SECURED = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY 1"
FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
)


def watched_table(metadata: MetaData, name: str) -> Table:
    table = Table(name, metadata, Column("id", Integer, primary_key=True))
    declare_for(
        table,
        STAMP,
        Trigger(f"watch_{name}", name, "stamp"),
        RowSecurity(name),
        Policy("all_rows", name, using="true"),
    )
    return table


def test_the_same_declaration_twice_is_one() -> None:
    metadata = MetaData()

    declare(metadata, STAMP, Function("stamp", "trigger", STAMP.body))

    assert declared(metadata) == (STAMP,)


def test_two_different_declarations_of_one_object_are_refused() -> None:
    metadata = MetaData()
    declare(metadata, STAMP)

    with pytest.raises(DeclarationError, match=r"function 'stamp\(\)' is declared twice"):
        declare(metadata, Function("stamp", "trigger", "BEGIN END"))


def test_objects_are_given_in_the_order_of_their_creation() -> None:
    metadata = MetaData()
    Table("t", metadata, Column("id", Integer))
    declare(
        metadata,
        Grant(("SELECT",), "TABLE", "t", "r"),
        Trigger("a", "t", "stamp"),
        Policy("p", "t", using="true"),
        RowSecurity("t"),
        STAMP,
        Role("r"),
    )

    assert [item.kind for item in declared(metadata)] == [
        "role", "function", "row-level security", "policy", "trigger", "grant",
    ]  # fmt: skip


def test_objects_of_a_table_that_has_gone_are_not_declared_any_more() -> None:
    metadata = MetaData()
    table = watched_table(metadata, "t")

    metadata.remove(table)

    assert declared(metadata) == (STAMP,)


def test_a_declaration_can_be_withdrawn() -> None:
    metadata = MetaData()
    watched_table(metadata, "t")

    withdraw(metadata, RowSecurity("t"), Policy("all_rows", "t", using="true"))

    assert {item.kind for item in declared(metadata)} == {"function", "trigger"}


def test_create_all_and_drop_all_bring_and_take_everything(empty: Connection) -> None:
    metadata = MetaData()
    watched_table(metadata, "a")
    watched_table(metadata, "b")

    metadata.create_all(empty)
    created = [names(empty, query) for query in (TRIGGERS, POLICIES, SECURED, FUNCTIONS)]
    metadata.create_all(empty)
    metadata.drop_all(empty)

    assert created == [["watch_a", "watch_b"], ["all_rows", "all_rows"], ["a", "b"], ["stamp"]]
    assert [names(empty, query) for query in (TRIGGERS, POLICIES, FUNCTIONS, TABLES)] == [[], [], [], []]


def test_dropping_some_tables_leaves_what_the_others_need(empty: Connection) -> None:
    metadata = MetaData()
    watched_table(metadata, "a")
    b = watched_table(metadata, "b")
    metadata.create_all(empty)

    metadata.drop_all(empty, tables=[b])

    assert [names(empty, query) for query in (TRIGGERS, FUNCTIONS, TABLES)] == [["watch_a"], ["stamp"], ["a"]]


def test_dropping_what_is_not_there_is_no_error(empty: Connection) -> None:
    metadata = MetaData()
    watched_table(metadata, "a")

    metadata.drop_all(empty)

    assert names(empty, TABLES) == []


def test_a_table_that_is_created_alone_comes_with_its_row_security(empty: Connection) -> None:
    metadata = MetaData()
    watched_table(metadata, "a")
    b = watched_table(metadata, "b")

    b.create(empty)
    alone = [names(empty, query) for query in (TRIGGERS, POLICIES, SECURED, TABLES)]
    b.drop(empty)

    assert alone == [["watch_b"], ["all_rows"], ["b"], ["b"]]
    assert names(empty, TABLES) == []


def test_percent_signs_and_colons_reach_the_server_as_they_stand(empty: Connection) -> None:
    body = "\nBEGIN\n    RAISE NOTICE '%% % :name', NEW.id; -- 100% %(a)s\n    RETURN NEW;\nEND\n"
    metadata = MetaData()
    table = Table("t", metadata, Column("id", Integer))
    declare_for(table, Function("odd", "trigger", body), Trigger("odd", "t", "odd"))

    metadata.create_all(empty)

    assert names(empty, "SELECT prosrc FROM pg_proc WHERE proname = 'odd'") == [body]


def test_a_name_that_postgresql_would_cut_is_refused_before_anything_is_made(empty: Connection) -> None:
    metadata = MetaData()
    declare(metadata, STAMP)
    Table("t", metadata, Column("c" * 64, Integer))

    with pytest.raises(DeclarationError, match="63"):
        metadata.create_all(empty)

    assert names(empty, FUNCTIONS) == []


def test_the_mixins_keep_their_promise_for_a_metadata_of_the_applications_own(empty: Connection) -> None:
    class Own(DeclarativeBase):
        pass

    class Customer(Own):
        __tablename__ = "tenants"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Note(TenantScoped, Timestamped, Versioned, Own):
        __tablename__ = "notes"
        __tenant_reference__ = None
        text: Mapped[str]

    Own.metadata.create_all(empty)

    assert [column.name for column in Note.__table__.primary_key] == ["tenant_id", "id"]
    assert names(empty, TRIGGERS) == ["raise_notes_version", "update_notes_updated_at"]
    assert names(empty, SECURED) == ["notes"]
    assert names(empty, POLICIES) == ["operator_access", "tenant_isolation"]
    assert names(
        empty,
        "SELECT grantee || ' ' || privilege_type FROM information_schema.role_table_grants"
        " WHERE table_name = 'notes' AND grantee LIKE 'dbschema%' AND grantor = current_user AND grantee <> current_user"
        " ORDER BY 1",
    ) == [
        "dbschema_app DELETE",
        "dbschema_app INSERT",
        "dbschema_app SELECT",
        "dbschema_app UPDATE",
        "dbschema_operator DELETE",
        "dbschema_operator INSERT",
        "dbschema_operator SELECT",
        "dbschema_operator UPDATE",
        "dbschema_readonly SELECT",
    ]  # fmt: skip
