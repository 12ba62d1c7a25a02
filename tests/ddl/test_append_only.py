"""Rows that are only ever added go with their tenant, wherever its table is, and in no other way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import Connection, MetaData, NullPool, create_engine, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped

from dbschema import catalog
from dbschema.ddl import Trigger, declared
from dbschema.orm.mixins import AppendOnly, TenantRoot
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of the table of tenants, its name, and the schema of the table whose rows are only added.
PLACES = [
    (None, "tenants", None),
    (None, "tenants", "records"),
    ("core", "tenants", "records"),
    ("core", "tenants", None),
    (None, "Our Customers", "records"),
]


def models(schema: str | None, name: str, own: str | None) -> MetaData:
    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Tenant(TenantRoot, Base):
        __tablename__ = name
        __table_args__ = ({"schema": schema},)

    class Entry(AppendOnly, Base):
        __tablename__ = "entries"
        __table_args__ = ({"schema": own},)
        __tenant_reference__ = f"{schema}.{name}.id" if schema else f"{name}.id"

        words: Mapped[str]

    del Tenant, Entry
    return Base.metadata


class Place(NamedTuple):
    """Two tenants with an entry each, and how the two tables are called."""

    connection: Connection
    metadata: MetaData
    tenants: str
    entries: str

    def left(self) -> tuple[object, object]:
        counted = (self.connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in self[2:])
        return tuple(counted)  # type: ignore[return-value]  # there are two


@pytest.fixture(params=PLACES, ids=str)
def place(request: pytest.FixtureRequest, fresh_database: str) -> Iterator[Place]:
    schema, name, own = request.param
    metadata = models(schema, name, own)
    tables = {table.name: table for table in metadata.tables.values()}
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA core; CREATE SCHEMA records"))
        metadata.create_all(connection)
        for _ in range(2):
            tenant = uuid4()
            connection.execute(insert(tables[name]).values(id=tenant))
            connection.execute(insert(tables["entries"]).values(tenant_id=tenant, id=uuid4(), words="w"))
        connection.commit()
        yield Place(
            connection, metadata, f'"{schema or "public"}"."{name}"', f'"{own or "public"}"."entries"'
        )


def test_rows_go_with_their_tenant_wherever_its_table_is(place: Place) -> None:
    place.connection.execute(
        text(f"DELETE FROM {place.tenants} WHERE id = (SELECT min(id::text)::uuid FROM {place.tenants})")
    )

    assert place.left() == (1, 1)


def test_a_table_of_the_same_name_in_the_way_does_not_count(place: Place) -> None:
    """It is empty, as if the tenant were gone, and a trigger of somebody's own deletes at depth 2."""
    name = place.tenants.partition(".")[2]
    place.connection.execute(
        text(
            f"CREATE SCHEMA evil; CREATE TABLE evil.{name} (id uuid); CREATE TEMP TABLE {name} (id uuid);"
            "CREATE TEMP TABLE bait (id int); SET search_path = pg_temp, evil, public;"
            "CREATE FUNCTION evil.spring() RETURNS trigger LANGUAGE plpgsql"
            f" AS 'BEGIN DELETE FROM {place.entries}; RETURN NEW; END';"
            "CREATE TRIGGER spring AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION evil.spring()"
        )
    )

    with pytest.raises(DBAPIError, match="entries is refused: the table is append-only"):
        place.connection.execute(text("INSERT INTO bait VALUES (1)"))


def test_the_database_is_what_is_declared(place: Place) -> None:
    assert not catalog.check(place.connection, place.metadata)


def test_a_table_beside_the_usual_table_of_tenants_has_a_trigger_that_is_told_nothing() -> None:
    arguments = {
        place: [
            item.arguments
            for item in declared(models(*place))
            if isinstance(item, Trigger) and item.level == "ROW"
        ]
        for place in PLACES
    }

    assert list(arguments.values()) == [
        [()],
        [()],
        [("core.tenants", "id")],
        [("core.tenants", "id")],
        [('"Our Customers"', "id")],
    ]
