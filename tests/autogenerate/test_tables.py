"""A table brings along what its mixins promise, and takes it along when it goes, in one revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, MetaData, Table, Text, Uuid, desc, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema.ddl import Extension, declare
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import AppendOnly, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.orm.types import LowerText, json_array, json_object, pattern
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from conftest import Scenario


def models(*names: str) -> MetaData:
    """An application's own metadata with the tables of these names."""

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Scoped(TenantScoped):
        __tenant_reference__: ClassVar[str | None] = None

    if "shelves" in names:

        class Shelf(Versioned, Scoped, Timestamped, Base):
            __tablename__ = "shelves"
            __table_args__ = (
                Index(
                    "idx_shelves_new", "tenant_id", desc("created_at"), postgresql_where=text("label <> ''")
                ),
                {"comment": "Where goods stand"},
            )

            label: Mapped[str] = mapped_column(Text, comment="100% of 'it'")
            code: Mapped[str] = pattern("^[a-z]{2}:[0-9]+$", default="aa:1")

    if "goods" in names:

        class Good(Scoped, Timestamped, Base):
            __tablename__ = "goods"
            __table_args__ = (
                foreign_key("shelf_id", "shelves", cascade=True),
                Index(
                    "idx_goods_data",
                    "data",
                    postgresql_using="gin",
                    postgresql_ops={"data": "jsonb_path_ops"},
                ),
            )

            shelf_id: Mapped[Any] = mapped_column(Uuid())
            label: Mapped[str] = mapped_column(LowerText())
            data: Mapped[dict[str, Any]] = json_object()
            tags: Mapped[list[Any]] = json_array()

    if "log" in names:

        class Log(AppendOnly, Base):
            __tablename__ = "log"
            __tenant_reference__ = None

            entry: Mapped[str] = mapped_column(Text)

    return Base.metadata


COMBINATIONS = [
    ((), ("shelves",)),
    (("shelves",), ("shelves", "goods")),
    (("shelves",), ("shelves", "log")),
    ((), ("shelves", "goods", "log")),
    (("goods", "shelves"), ("log",)),
]


@pytest.mark.parametrize(("fewer", "more"), COMBINATIONS)
def test_a_table_brings_and_takes_along_what_its_mixins_promise(
    scenario: Scenario, fewer: tuple[str, ...], more: tuple[str, ...]
) -> None:
    scenario.check(models(*fewer), models(*more), back=True)


def test_the_steps_come_in_the_order_in_which_they_stand_on_each_other(scenario: Scenario) -> None:
    script = scenario.autogenerate(models("shelves", "log"))
    up, down = scenario.source(script.upgrade_ops), scenario.source(script.downgrade_ops)

    steps = [
        "CREATE ROLE",
        "CREATE OR REPLACE FUNCTION",
        "create_table",
        "ENABLE ROW",
        "CREATE POLICY",
        "CREATE TRIGGER",
        "GRANT",
    ]
    places = [up.index(step) for step in steps]
    assert places == sorted(places)
    back = [
        "REVOKE USAGE",
        "DROP TRIGGER",
        "DROP POLICY",
        "DISABLE ROW",
        "drop_table",
        "DROP FUNCTION",
        "DROP ROLE",
    ]
    places = [down.index(step) for step in back]
    assert places == sorted(places)


def pair(*, pointing: bool = True, parent: bool = True) -> MetaData:
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    if parent:
        Table("a_parent", metadata, Column("id", Integer, primary_key=True))
    child = Table("child", metadata, Column("id", Integer, primary_key=True))
    if pointing:
        child.append_column(Column("parent_id", Integer))
        child.append_constraint(ForeignKeyConstraint(["parent_id"], ["a_parent.id"]))
    return metadata


def test_tables_go_before_those_that_they_point_to(scenario: Scenario) -> None:
    up, _ = scenario.check(pair(), MetaData())

    assert up.index("drop_table('child')") < up.index("drop_table('a_parent')")


def test_a_table_goes_after_what_points_to_it(scenario: Scenario) -> None:
    scenario.check(pair(), pair(pointing=False, parent=False))


def test_a_new_table_comes_before_what_points_to_it(scenario: Scenario) -> None:
    scenario.check(pair(pointing=False, parent=False), pair())


def places() -> MetaData:
    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Place(Base):
        __tablename__ = "places"
        __table_args__ = (Index("idx_places_spot", "spot", postgresql_using="gist"),)

        id: Mapped[int] = mapped_column(primary_key=True)
        spot: Mapped[GeoPoint | None] = geography_point()

    declare(Base.metadata, Extension("postgis"))
    return Base.metadata


def test_a_place_is_written_as_geography_and_found_again(scenario: Scenario) -> None:
    nothing = MetaData()
    declare(nothing, Extension("postgis"))

    up, down = scenario.check(nothing, places())

    assert "Geography('POINT', srid=4326, spatial_index=False)" in up
    assert "drop_table('places')" in down


def test_a_place_that_goes_comes_back_as_geography(scenario: Scenario) -> None:
    nothing = MetaData()
    declare(nothing, Extension("postgis"))

    _, down = scenario.check(places(), nothing)

    assert "Geography('POINT', srid=4326, spatial_index=False)" in down


def test_tables_of_extensions_are_left_alone(scenario: Scenario, geocoder: str) -> None:
    """Those in the search_path too, which are in Alembic's default schema."""
    scenario.execute(f"CREATE EXTENSION postgis; {geocoder} CREATE EXTENSION postgis_topology")
    scenario.execute("SET LOCAL search_path = public, topology, tiger")

    for include_schemas in (False, True):
        script = scenario.autogenerate(MetaData(), include_schemas=include_schemas)
        assert script.upgrade_ops.as_diffs() == []


def test_a_table_beside_those_of_extensions_is_compared(scenario: Scenario) -> None:
    scenario.execute("CREATE EXTENSION postgis; CREATE TABLE by_hand (id int)")

    (difference,) = scenario.autogenerate(MetaData()).upgrade_ops.as_diffs()

    assert (difference[0], difference[1].name) == ("remove_table", "by_hand")


def test_what_a_filter_leaves_out_is_left_alone_with_all_that_stands_on_it(scenario: Scenario) -> None:
    models("shelves").create_all(scenario.connection)
    scenario.catalog(models("shelves"))

    for filtered in (
        {"include_name": lambda name, kind, parents: not (kind == "table" and name == "shelves")},
        {
            "include_object": lambda item, name, kind, reflected, other: (
                not (kind == "table" and name == "shelves")
            )
        },
    ):
        differences = scenario.autogenerate(MetaData(), **filtered).upgrade_ops.as_diffs()
        assert [item for item in differences if "shelves" in item[1:]] == []
