"""Models that are not ours are verified too: an application's own tables, and those that are added tomorrow."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Connection,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema import verify
from dbschema.ddl import Extension, declare
from dbschema.geography import GeoPoint, geography_point
from dbschema.mixins import AppendOnly, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.models import metadata as models
from dbschema.naming import NAMING_CONVENTION
from dbschema.types import checked_text, json_array, pattern
from dbschema.verify.behaviour.checks import IMPLIED, wrong_values

if TYPE_CHECKING:
    from collections.abc import Callable


class Colour(StrEnum):
    RED = "red"


class Own(DeclarativeBase):
    metadata = models.__class__(naming_convention=NAMING_CONVENTION)


class Thing(Versioned, TenantScoped, Timestamped, Own):
    __tablename__ = "things"
    __tenant_reference__ = None
    __table_args__ = (UniqueConstraint("tenant_id", "code"),)

    code: Mapped[str] = mapped_column(String(12))
    colour: Mapped[Colour] = checked_text(Colour)
    currency: Mapped[str] = pattern("^[A-Z]{3}$")
    names: Mapped[list[Any]] = json_array()
    price: Mapped[Decimal]
    bought_on: Mapped[date]
    bought_at: Mapped[datetime | None]
    opens_at: Mapped[time]
    lasts: Mapped[timedelta]
    picture: Mapped[bytes] = mapped_column(LargeBinary)
    sizes: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    kind: Mapped[str] = mapped_column(Enum("a", "b", name="kind"))
    address: Mapped[str] = mapped_column(INET)
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB)
    place: Mapped[GeoPoint] = geography_point()
    reference: Mapped[UUID]
    is_new: Mapped[bool]
    weight: Mapped[float]
    note: Mapped[str | None] = mapped_column(String(20))
    seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))
    matrix: Mapped[list[list[int]] | None] = mapped_column(ARRAY(Integer, dimensions=2))


class Part(TenantScoped, Timestamped, Own):
    """Points to itself, and to a thing."""

    __tablename__ = "parts"
    __tenant_reference__ = None
    __table_args__ = (foreign_key("thing_id", "things", cascade=True), foreign_key("part_of", "parts"))

    thing_id: Mapped[UUID]
    part_of: Mapped[UUID | None]


class Step(TenantScoped, Own):
    """Its number is unique within a thing."""

    __tablename__ = "steps"
    __tenant_reference__ = None
    __table_args__ = (
        foreign_key("thing_id", "things", cascade=True),
        UniqueConstraint("tenant_id", "thing_id", "number"),
    )

    thing_id: Mapped[UUID]
    number: Mapped[int]


class Cover(TenantScoped, Own):
    """A thing has one at most."""

    __tablename__ = "covers"
    __tenant_reference__ = None
    __table_args__ = (
        foreign_key("thing_id", "things", cascade=True),
        UniqueConstraint("tenant_id", "thing_id"),
    )

    thing_id: Mapped[UUID]


class Entry(AppendOnly, Own):
    __tablename__ = "entries"
    __tenant_reference__ = None

    words: Mapped[str]


declare(Own.metadata, Extension("postgis"))


@pytest.fixture
def connection(fresh_database: str, connect: Callable[..., Connection]) -> Connection:
    connection = connect(fresh_database)
    Own.metadata.create_all(connection)
    connection.commit()
    return connection


def test_tables_of_an_application_are_verified_like_ours(connection: Connection) -> None:
    report = verify.run(connection, metadata=Own.metadata)

    assert report.failures == ()
    assert report.of("tables")[0].detail.startswith("catalog with catalog")
    assert {check.name for check in report.of("isolation")} == {
        "no tenant set",
        "things",
        "parts",
        "steps",
        "covers",
        "entries",
    }
    assert {check.name for check in report.of("timestamps")} == {"things", "parts"}
    assert {check.name for check in report.of("foreign keys")} == {
        "parts.thing_id",
        "parts.part_of",
        "steps.thing_id",
        "covers.thing_id",
    }
    assert {check.name for check in report.of("unique")} == {
        "things.code",
        "steps.thing_id, number",
        "covers.thing_id",
    }


def test_a_role_that_may_build_nothing_finds_them_well(connection: Connection) -> None:
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    report = verify.run(connection, metadata=Own.metadata)

    assert report.failures == ()
    assert report.of("tables")[0].detail.startswith("names, types and flags")


def test_their_damage_is_found(connection: Connection) -> None:
    connection.execute(text("ALTER POLICY tenant_isolation ON parts USING (true)"))
    connection.execute(text("DROP TRIGGER update_things_updated_at ON things"))

    report = verify.run(connection, metadata=Own.metadata)

    assert {(check.group, check.name) for check in report.failures} == {
        ("policies", "tenant_isolation on parts"),
        ("isolation", "parts"),
        ("triggers", "update_things_updated_at on things"),
        ("timestamps", "things"),
    }


@pytest.mark.parametrize("table", ["steps", "covers"])
def test_a_lost_unique_constraint_over_a_key_is_found(connection: Connection, table: str) -> None:
    name = next(
        iter(
            item.name for item in Own.metadata.tables[table].constraints if isinstance(item, UniqueConstraint)
        )
    )
    connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))

    report = verify.run(connection, metadata=Own.metadata)

    assert [check.detail for check in report.failures if check.group == "unique"] == [
        "the same value is taken twice"
    ]


def test_tables_that_are_nobodys_business_are_left_alone(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE stranger (id int); GRANT ALL ON stranger TO PUBLIC"))
    connection.execute(text("CREATE VIEW looker AS SELECT 1 AS one"))

    report = verify.run(connection, metadata=Own.metadata)

    assert report.failures == ()


@pytest.mark.parametrize("table", models.sorted_tables, ids=lambda table: table.name)
def test_a_wrong_value_is_known_for_every_check_of_our_models(table: Any) -> None:
    """A CHECK that is added tomorrow needs one too: in WRONG_VALUES, unless it comes with a column's type."""
    checks = {str(item.name) for item in table.constraints if isinstance(item, CheckConstraint)}

    assert checks - IMPLIED == {name for name, _ in wrong_values(table)}
