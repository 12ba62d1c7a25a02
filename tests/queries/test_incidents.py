"""The queries of incidents find what a look at every row finds, in order, page by page, and go on as any select does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session, joinedload, selectinload

from dbschema.models import ImageEvidence, Incident, Tenant
from dbschema.orm.geography import GeoPoint
from dbschema.queries import DistanceCursor, TimeCursor, entity_of, incidents

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Select

MINE, THEIRS = uuid4(), uuid4()
START = datetime(2026, 1, 1, tzinfo=UTC)
BERN = GeoPoint(7.4474, 46.948)
CORNERS = [
    GeoPoint(x, y)
    for x in (-180, -179.5, -90, 0, 0.5, 90, 179.5, 180)
    for y in (-90, -45, 0, 0.5, 45, 89, 90)
]


def row(number: int, place: GeoPoint | None, tenant: UUID = MINE, **values: Any) -> dict[str, Any]:
    return {
        "tenant_id": tenant,
        "id": uuid4(),
        "domain_id": f"domain-{number % 3}",
        "status": ["open", "closed"][number % 2],
        "severity": 1 + number % 5,
        "location": place,
        "structured_data": {"category": f"c{number % 4}", "vehicle": {"wheels": number % 3}},
        "created_at": START + timedelta(seconds=number // 5),
        **values,
    }


@pytest.fixture
def session(connection: Connection, act: Callable[..., Connection]) -> Session:
    """A session of a tenant with incidents all over the world, 60 of them around Bern, and 5 always of the same instant."""
    connection.execute(
        insert(Tenant), [{"id": key, "tenant_name": "x", "slug": key.hex[:20]} for key in (MINE, THEIRS)]
    )
    around = [GeoPoint(7.4474 + number % 8 / 1000, 46.948) for number in range(60)]
    places = [*around, *CORNERS, None]
    rows = [row(number, place, tenant) for tenant in (MINE, THEIRS) for number, place in enumerate(places)]
    connection.execute(insert(Incident), rows)
    return Session(act(connection, MINE))


def ids(session: Session, statement: Select[Any]) -> list[UUID]:
    return [found[0].id for found in session.execute(statement)]


def everything(session: Session) -> list[Incident]:
    return list(session.scalars(select(Incident)))


def newest_first(rows: list[Incident]) -> list[UUID]:
    return [item.id for item in sorted(rows, key=lambda item: (-item.created_at.timestamp(), item.id))]


def pages(session: Session, query: Callable[..., Select[Any]], *arguments: Any, **options: Any) -> list[UUID]:
    """The ids of all pages, one after the other, by cursors that went through text."""
    found: list[UUID] = []
    after = None
    while page := session.execute(query(*arguments, **options, limit=7, after=after)).all():
        found += [item[0].id for item in page]
        last = page[-1]
        after = str(DistanceCursor(last[1], last[0].id) if len(last) == 2 else TimeCursor.of(last[0]))
    return found


def test_near_gives_the_nearest_first_with_their_distances(session: Session) -> None:
    found = session.execute(incidents.near(BERN, within=300, limit=1000)).all()

    distances = [distance for _, distance in found]
    assert len(found) == 32  # those that are 0 to 3 thousandths of a degree away, 76 metres each
    assert distances == sorted(distances)
    assert {round(distance) for distance in distances} == {0, 76, 152, 228}
    assert all(item.tenant_id == MINE for item, _ in found)


def test_pages_by_distance_give_each_row_once_though_many_are_equally_far(session: Session) -> None:
    at_once = ids(session, incidents.near(BERN, within=10_000, limit=1000))

    assert pages(session, incidents.near, BERN, within=10_000) == at_once
    assert len(set(at_once)) == len(at_once) == 60


def test_a_place_may_come_in_any_shape(session: Session) -> None:
    there = ids(session, incidents.near(BERN, within=100))

    for place in (
        (7.4474, 46.948),
        "POINT(7.4474 46.948)",
        {"type": "Point", "coordinates": [7.4474, 46.948]},
    ):
        assert ids(session, incidents.near(place, within=100)) == there


@pytest.mark.parametrize(
    ("query", "arguments", "chosen"),
    [
        (incidents.newest, (), lambda _: True),
        (incidents.by_domain, ("domain-1",), lambda item: item.domain_id == "domain-1"),
        (incidents.by_category, ("c2",), lambda item: item.structured_data["category"] == "c2"),
        (incidents.by_data, ({"category": "c2"},), lambda item: item.structured_data["category"] == "c2"),
        (
            incidents.by_data,
            ({"vehicle": {"wheels": 2}},),
            lambda item: item.structured_data["vehicle"]["wheels"] == 2,
        ),
        (
            incidents.in_box,
            (7.4, 46.9, 7.45, 46.95),
            lambda item: (
                item.location is not None and item.location[0] < 7.45 and 46.9 < item.location[1] < 46.95
            ),
        ),
    ],
    ids=["newest", "domain", "category", "data", "deeper data", "box"],
)
def test_pages_from_the_newest_on_give_each_row_once_though_many_are_of_one_instant(
    session: Session,
    query: Callable[..., Select[Any]],
    arguments: tuple[Any, ...],
    chosen: Callable[[Incident], bool],
) -> None:
    if query is incidents.in_box:
        wanted = [
            item for item in everything(session) if chosen(item) and item.location and item.location[0] > 7.4
        ]
    else:
        wanted = [item for item in everything(session) if chosen(item)]

    assert len(wanted) > 10
    assert pages(session, query, *arguments) == newest_first(wanted)


LONGITUDES = st.sampled_from([-180.0, -179.5, -90.0, 0.0, 0.5, 90.0, 180.0]) | st.floats(-180, 180)
LATITUDES = st.sampled_from([-90.0, 0.0, 45.0, 89.0, 90.0]) | st.floats(-90, 90)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LONGITUDES, LATITUDES, LONGITUDES, LATITUDES)
def test_a_box_holds_what_lies_between_its_edges_anywhere_on_the_globe(
    session: Session, west: float, south: float, east: float, north: float
) -> None:
    south, north = sorted((south, north))

    def between(place: GeoPoint) -> bool:
        x, y = place
        across = west <= x <= east if west <= east else x >= west or x <= east
        return across and south <= y <= north

    wanted = {item.id for item in everything(session) if item.location is not None and between(item.location)}

    assert set(ids(session, incidents.in_box(west, south, east, north, limit=1000))) == wanted


def test_an_area_may_have_holes_and_parts(session: Session) -> None:
    def square(size: float) -> list[tuple[float, float]]:
        return [(-size, -size), (size, -size), (size, size), (-size, size), (-size, -size)]

    far = [(x + 90, y) for x, y in square(0.2)]
    area = {"type": "MultiPolygon", "coordinates": [[square(2), square(0.3)], [far]]}

    found = session.scalars(incidents.in_area(area)).all()

    assert sorted(item.location for item in found if item.location) == [
        (0, 0.5),
        (0.5, 0),
        (0.5, 0.5),
        (90, 0),
    ]


def test_filters_choose_before_the_page_is_cut(session: Session) -> None:
    options: dict[str, Any] = {
        "domain": "domain-1",
        "status": "open",
        "since": START + timedelta(seconds=2),
        "until": START + timedelta(seconds=9),
    }
    wanted = {
        item.id
        for item in everything(session)
        if item.domain_id == "domain-1"
        and item.status == "open"
        and START + timedelta(seconds=2) <= item.created_at < START + timedelta(seconds=9)
    }
    world = {"type": "Polygon", "coordinates": [[(7, 46), (8, 46), (8, 47), (7, 47), (7, 46)]]}

    for statement in (
        incidents.near(BERN, within=10_000, limit=len(wanted), **options),
        incidents.in_box(7, 46, 8, 47, limit=len(wanted), **options),
        incidents.in_area(world, limit=len(wanted), **options),
        incidents.by_data({}, limit=len(wanted), **options),
    ):
        assert set(ids(session, statement)) == wanted
    assert len(wanted) == 6


@pytest.mark.parametrize(
    "statement",
    [incidents.newest(), incidents.near(BERN, within=10_000), incidents.in_box(7, 46, 8, 47)],
    ids=["of the table", "near", "of a function"],
)
class TestGoingOn:
    """A query is a select, and the entity that it selects is known."""

    def test_conditions_can_be_added(self, session: Session, statement: Select[Any]) -> None:
        hits = entity_of(statement)

        found = session.scalars(statement.where(hits.severity >= 4)).all()

        assert found
        assert {item.severity for item in found} == {4, 5}

    def test_what_belongs_to_a_row_can_be_loaded(self, session: Session, statement: Select[Any]) -> None:
        hits = entity_of(statement)
        first = session.scalars(statement).first()
        session.add(ImageEvidence(tenant_id=MINE, incident_id=first.id, s3_bucket="b", s3_key="k"))
        session.flush()
        session.expire_all()

        found = session.scalars(
            statement.options(selectinload(hits.images), joinedload(hits.creator))
        ).first()

        assert [image.s3_key for image in found.images] == ["k"]
        assert found.creator is None

    def test_it_serves_as_a_subquery_and_as_a_list_of_ids(
        self, session: Session, statement: Select[Any]
    ) -> None:
        hits = statement.subquery()

        counted = session.scalar(select(func.count()).select_from(hits))
        joined = session.scalars(
            select(Incident).join(hits, (Incident.tenant_id == hits.c.tenant_id) & (Incident.id == hits.c.id))
        ).all()

        assert counted == len(joined) == 50

    def test_its_rows_are_those_of_the_session_and_can_be_changed(
        self, session: Session, statement: Select[Any]
    ) -> None:
        item = session.scalars(statement).first()
        item.title = "seen"
        session.flush()

        assert session.get(Incident, (MINE, item.id)) is item
        assert session.scalar(text(f"SELECT title FROM incidents WHERE id = '{item.id}'")) == "seen"


def test_a_bare_place_is_understood_by_functions_and_operators(session: Session) -> None:
    near = select(Incident).where(func.ST_DWithin(Incident.location, BERN, 10))
    measured = select(func.ST_Distance(Incident.location, BERN)).order_by(Incident.location.op("<->")(BERN))

    assert len(session.scalars(near).all()) == 8
    assert session.scalars(measured.limit(1)).one() == 0


def test_places_in_new_rows_are_data_and_not_expressions(session: Session) -> None:
    """As expressions, each row would be a statement of its own."""
    statements: list[str] = []
    session.add_all([Incident(tenant_id=MINE, domain_id="d", location=BERN) for _ in range(20)])
    from sqlalchemy import event  # noqa: PLC0415  used here alone

    event.listen(session.connection(), "before_cursor_execute", lambda *a: statements.append(a[2]))
    session.flush()

    assert len([sql for sql in statements if sql.startswith("INSERT")]) == 1


def test_the_category_follows_the_data_and_is_cut(session: Session) -> None:
    item = Incident(tenant_id=MINE, domain_id="d", structured_data={"category": "ä" * 5000})
    session.add(item)
    session.flush()
    assert item.category == "ä" * 200

    item.structured_data = {"category": "flood"}
    session.flush()

    assert [found.id for found in session.scalars(incidents.by_category("flood"))] == [item.id]


def test_cursors_follow_the_order(session: Session) -> None:
    found = session.scalars(incidents.newest(limit=100)).all()

    for one, other in pairwise(found):
        assert (one.created_at, other.id) > (other.created_at, one.id)
