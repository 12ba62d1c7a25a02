"""Models that are not ours are verified too: an application's own tables, and those that are added tomorrow."""

from __future__ import annotations

from dataclasses import replace
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
from tests.verify.ours import run as run_ours

from dbschema import verify
from dbschema.catalog import snapshot as snapshots
from dbschema.ddl import Extension, declare
from dbschema.models import metadata as models
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import AppendOnly, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.orm.types import checked, checked_text, json_array, pattern
from dbschema.sql import NAMING_CONVENTION
from dbschema.verify.behaviour.constraints import NO_EXAMPLE, check_constraints, example

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
    currency: Mapped[str] = pattern("^[A-Z]{3}$", sample="XTS")
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


def test_a_role_that_may_build_nothing_finds_them_well_by_their_snapshot(connection: Connection) -> None:
    snapshot = snapshots.take(connection, Own.metadata)
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    report = verify.run(connection, metadata=Own.metadata, snapshot=snapshot)

    assert report.failures == ()
    assert report.of("tables")[0].detail == (
        f"catalog with the snapshot made on PostgreSQL {snapshot.server}: "
        f"role dbschema_app may not CREATE in database {connection.engine.url.database}"
    )


def test_without_a_snapshot_nothing_is_compared_and_the_report_says_so(connection: Connection) -> None:
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    report = verify.run(connection, metadata=Own.metadata)

    assert [(check.group, check.name) for check in report.failures] == [("tables", "comparison")]
    assert "there is no snapshot of these models; run dbschema compile" in report.failures[0].detail


@pytest.mark.parametrize("damage", ["ALTER TABLE things ALTER note SET DEFAULT 'x'", ""])
def test_a_snapshot_of_another_server_is_named_if_something_differs(
    connection: Connection, damage: str
) -> None:
    """A default, which is compared letter by letter, is seen by a role that may build nothing."""
    taken = snapshots.take(connection, Own.metadata)
    if damage:
        connection.execute(text(damage))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    report = verify.run(connection, metadata=Own.metadata, snapshot=replace(taken, server=9))

    assert [check.name for check in report.failures if check.group == "tables"] == (
        ["things"] if damage else []
    )
    named = f"this server is PostgreSQL {taken.server}" in report.of("tables")[0].detail
    assert named == bool(damage)
    assert "snapshot made on PostgreSQL 9" in report.of("tables")[0].detail


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
def test_every_check_of_our_models_has_an_example_that_it_rejects(table: Any) -> None:
    """A CHECK that is added tomorrow needs one too: declare it with `checked`."""
    assert [item.name for item in check_constraints(table) if example(item) is None] == []


def test_every_example_of_our_models_is_rejected_by_postgresql(
    database: str, connect: Callable[..., Connection]
) -> None:
    report = run_ours(connect(database))

    assert report.untried == ()
    tables = {table.fullname for table in models.sorted_tables if check_constraints(table)}
    assert {check.name for check in report.of("values") if check.passed} == tables


class Checks(DeclarativeBase):
    metadata = models.__class__(naming_convention=NAMING_CONVENTION)


class Box(TenantScoped, Checks):
    __tablename__ = "boxes"
    __tenant_reference__ = None
    __table_args__ = (
        checked("width > 0", name="width", rejects={"width": 0}),
        checked("height >= 0", name="height", rejects={"height": -1}, implied_by="flat"),
        checked("height > width", name="flat", rejects={"height": 2, "width": 3}),
        checked(
            "made_on < sold_on", name="sold", rejects={"made_on": date(2001, 1, 2), "sold_on": "2001-01-01"}
        ),
        checked("NOT tags @> '[1]'", name="tags_without_one", rejects={"tags": lambda: [1]}),
        CheckConstraint("depth <> 7", name="depth"),
    )

    width: Mapped[int]
    height: Mapped[int] = mapped_column(info={"sample": 2})
    depth: Mapped[int | None]
    made_on: Mapped[date | None]
    sold_on: Mapped[date | None]
    tags: Mapped[list[Any]] = json_array()
    code: Mapped[str] = pattern("^[0-9]{3}[a-c]$", sample=lambda: "123a")


@pytest.fixture
def boxes(fresh_database: str, connect: Callable[..., Connection]) -> Connection:
    connection = connect(fresh_database)
    Checks.metadata.create_all(connection)
    connection.commit()
    return connection


def test_examples_of_an_application_are_tried_and_a_check_without_one_is_named(boxes: Connection) -> None:
    report = verify.run(boxes, metadata=Checks.metadata)

    assert report.failures == ()
    assert report.ok
    assert [(check.name, check.detail) for check in report.of("values")] == [
        ("boxes", "wrong values refused by 7 checks"),
        ("boxes.ck_boxes_depth", NO_EXAMPLE),
    ]
    assert [check.name for check in report.untried] == ["boxes.ck_boxes_depth"]
    assert report.total == len(report.checks) - 1
    assert report.as_dict()["untried"] == 1
    assert str(report.untried[0]).startswith("- boxes.ck_boxes_depth: not tried")


@pytest.mark.parametrize("name", ["width", "flat", "sold", "tags", "tags_without_one", "code"])
def test_a_check_that_no_longer_rejects_its_example_fails(boxes: Connection, name: str) -> None:
    boxes.execute(text(f"ALTER TABLE boxes DROP CONSTRAINT ck_boxes_{name}"))

    report = verify.run(boxes, metadata=Checks.metadata)

    (wrong,) = [check for check in report.failures if check.group == "values"]
    assert f"ck_boxes_{name} does not refuse a wrong value" in wrong.detail


def test_a_column_whose_value_cannot_be_guessed_asks_for_a_sample(
    fresh_database: str, connect: Callable[..., Connection]
) -> None:
    class Guessed(DeclarativeBase):
        metadata = models.__class__(naming_convention=NAMING_CONVENTION)

    class Code(TenantScoped, Guessed):
        __tablename__ = "codes"
        __tenant_reference__ = None

        code: Mapped[str] = pattern("^[0-9]{3}[a-c]$")

    connection = connect(fresh_database)
    Guessed.metadata.create_all(connection)

    report = verify.run(connection, metadata=Guessed.metadata)

    assert any("give the column info={'sample': …}" in check.detail for check in report.failures)
