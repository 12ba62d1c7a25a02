"""A version rises with each change of a row and with nothing else, whatever columns the row has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Computed,
    Connection,
    MetaData,
    NullPool,
    Numeric,
    String,
    create_engine,
    insert,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema import catalog, verify
from dbschema.ddl import Extension, Trigger, declare, declared
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import TenantRoot, TenantScoped, Timestamped, Versioned
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterator


class Own(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Tenant(TenantRoot, Own):
    __tablename__ = "tenants"


class Sheet(Versioned, TenantScoped, Timestamped, Own):
    """With columns that the database computes, types without an equality, and values that are equal and not the same."""

    __tablename__ = "sheets"

    title: Mapped[str] = mapped_column(String)
    shout: Mapped[str | None] = mapped_column(String, Computed("upper(title)", persisted=True))
    odd: Mapped[int | None] = mapped_column('odd"name', Computed("length(title)", persisted=True))
    place: Mapped[GeoPoint | None] = geography_point()
    data: Mapped[Any | None] = mapped_column(JSON)
    ratio: Mapped[Any | None] = mapped_column(Numeric)


class Plain(Versioned, TenantScoped, Own):
    __tablename__ = "plain"

    title: Mapped[str] = mapped_column(String)


declare(Own.metadata, Extension("postgis"))


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


@pytest.fixture
def sheets(fresh_database: str, tenant: UUID) -> Iterator[Connection]:
    """A database with the tables and a row in each."""
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        Own.metadata.create_all(connection)
        connection.execute(insert(Tenant).values(id=tenant))
        connection.execute(
            insert(Sheet).values(tenant_id=tenant, title="a", place=(7.4, 46.9), data={"a": 1}, ratio=1)
        )
        connection.execute(insert(Plain).values(tenant_id=tenant, title="a"))
        yield connection


@pytest.mark.parametrize(
    ("table", "assignment", "version"),
    [
        ("sheets", "title = title", 1),
        ("sheets", "title = 'a', place = place, data = data", 1),
        ("sheets", "version = 99", 1),
        ("sheets", "title = 'b'", 2),
        ("sheets", "title = 'b', version = 1", 2),
        ("sheets", "place = NULL", 2),
        ("sheets", """data = '{"a": 2}'""", 2),
        ("sheets", "ratio = 1.00", 2),
        ("plain", "title = title", 1),
        ("plain", "title = 'b'", 2),
    ],
)
def test_the_version_rises_with_a_change_and_with_nothing_else(
    sheets: Connection, table: str, assignment: str, version: int
) -> None:
    sheets.execute(text(f"UPDATE {table} SET {assignment}"))

    assert sheets.scalar(text(f"SELECT version FROM {table}")) == version


def test_each_trigger_knows_the_columns_that_the_database_computes_and_others_are_told_nothing() -> None:
    triggers = {
        item.table: item.arguments
        for item in declared(Own.metadata)
        if isinstance(item, Trigger) and item.name.startswith("raise_")
    }

    assert triggers == {"sheets": ('{"shout": null, "odd\\"name": null}',), "plain": ()}


def test_the_database_is_what_is_declared_and_does_what_is_promised(sheets: Connection) -> None:
    clean = catalog.check(sheets, Own.metadata)
    report = verify.run(sheets, metadata=Own.metadata)

    assert not clean
    assert report.failures == ()


def test_a_computed_column_that_is_new_changes_the_trigger(sheets: Connection) -> None:
    """What autogenerate writes for a column that a table has had no trigger argument for."""
    sheets.execute(text("DROP TRIGGER raise_sheets_version ON sheets"))
    sheets.execute(
        text(
            "CREATE TRIGGER raise_sheets_version BEFORE UPDATE ON sheets FOR EACH ROW"
            " EXECUTE FUNCTION raise_version_column()"
        )
    )
    context = MigrationContext.configure(
        sheets, opts={"autogenerate_plugins": ["alembic.autogenerate.*", "dbschema"]}
    )

    differences = compare_metadata(context, Own.metadata)

    assert "raise_sheets_version" in str(differences)
