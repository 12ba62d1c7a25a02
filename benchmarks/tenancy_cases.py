"""The cases of `benchmarks/tenancy.py`: each query of the library, and the same query in the style of PostgreSQL's manual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Double, Select, Uuid, and_, bindparam, case, false, func, literal, select, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from dbschema.models import AuditLog, Document, Incident, Message
from dbschema.models.conversations import DOCUMENT_WORDS
from dbschema.orm.geography import GeoPoint
from dbschema.queries import DistanceCursor, TimeCursor, audit, conversations, documents, incidents
from dbschema.queries.places import area_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


@dataclass(frozen=True)
class Case:
    """A query of the library, the same without it, and the generator of their arguments.

    Attributes:
        name: its name in the output.
        draw: makes arguments from random numbers.
        library: the query of the library.
        plain: variants of the same query, with the same rows in the same order; the fastest over all cases of a query is the
            reference.
        as_written: the naive variant under the policy; None: the first of `plain`.
    """

    name: str
    draw: Callable[[random.Random], Any]
    library: Callable[[Any], Select[Any]]
    plain: tuple[Callable[[Any], Select[Any]], ...]
    as_written: Callable[[Any], Select[Any]] | None = None

    @property
    def query(self) -> str:
        """Return the query without its arguments: the part of the name before the sizes."""
        return self.name.split(",", maxsplit=1)[0].split(" of ", maxsplit=1)[0]


TENANT = "the_tenant"
"""The parameter of a form that has to state the tenant within."""

MIDDLE = UUID(int=1 << 127)


def place(draws: random.Random) -> GeoPoint:
    return GeoPoint(6.2 + draws.random() * 4, 46 + draws.random() * 1.6)


def box(size: float) -> Callable[[random.Random], tuple[float, float, float, float]]:
    def draw(draws: random.Random) -> tuple[float, float, float, float]:
        west, south = place(draws)
        return west, south, west + size, south + size

    return draw


def polygon(edges: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = edges
    ring = [(west, south), (east, south), ((west + east) / 2, north), (west, north), (west, south)]
    return {"type": "Polygon", "coordinates": [ring]}


def near(center: GeoPoint, metres: float, beyond: float | None = None) -> Select[Any]:
    """Select in the order that the library promises for pages: rows with equal distance by their ids.

    In two steps, as in the library, because a distance index gives no order beyond the distance; in one step
    PostgreSQL would sort all matching rows.
    """

    def distance_of(entity: Any) -> Any:
        return entity.location.op("<->", return_type=Double())(center)

    distance = distance_of(Incident)
    inside = func.ST_DWithin(Incident.location, center, metres, text("false"))
    statement = select(Incident).where(inside, Incident.tenant_id == bindparam(TENANT, type_=Uuid()))
    if beyond is not None:
        statement = statement.where((distance > beyond) | ((distance == beyond) & (Incident.id > MIDDLE)))
    found = aliased(Incident, statement.order_by(distance).fetch(20, with_ties=True).subquery())
    distance = distance_of(found)
    return select(found, distance).order_by(distance, found.id).limit(20)


def nearest(center: GeoPoint, metres: float) -> Select[Any]:
    """Select without an order of rows with equal distance."""
    distance = Incident.location.op("<->", return_type=Double())(center)
    inside = func.ST_DWithin(Incident.location, center, metres, text("false"))
    return select(Incident, distance).where(inside).order_by(distance).limit(20)


def first(statement: Select[Any], entity: Any = Incident) -> Select[Any]:
    return statement.order_by(entity.created_at.desc(), entity.id).limit(50)


def in_box(edges: tuple[float, float, float, float], *, in_case: bool = False) -> Select[Any]:
    """Select by a box. Its corners cover it in the index, because it is in the north and between two quarters; then its edges decide."""
    west, south, east, north = edges
    corners = f"({west!r} {south!r}), ({east!r} {south!r}), ({west!r} {north!r}), ({east!r} {north!r})"
    covering = func.ST_GeogFromText(f"SRID=4326;MULTIPOINT({corners})")
    point = func.geometry(Incident.location)
    inside = and_(func.ST_Y(point).between(south, north), func.ST_X(point).between(west, east))
    if in_case:  # the planner treats each comparison of an expression as rare
        inside = case((inside, true()), else_=false())
    return first(select(Incident).where(Incident.location.op("&&")(covering), inside))


def in_area(edges: tuple[float, float, float, float]) -> Select[Any]:
    area = func.ST_GeogFromText(area_of(polygon(edges)))
    return first(select(Incident).where(func.ST_Covers(area, Incident.location)))


def by_data(data: dict[str, int]) -> Select[Any]:
    return first(select(Incident).where(Incident.structured_data.op("@>")(literal(data, JSONB()))))


def with_words(words: str) -> Select[Any]:
    condition = DOCUMENT_WORDS.format("documents.") + " @@ websearch_to_tsquery('simple', :words)"
    return first(select(Document).where(text(condition).bindparams(words=words)), Document)


def messages(conversation: UUID) -> Select[Any]:
    statement = select(Message).where(Message.conversation_id == conversation)
    return statement.order_by(Message.created_at, Message.id).limit(50)


def trail(resource: str) -> Select[Any]:
    condition = (AuditLog.resource_type == "incident") & (AuditLog.resource_id == resource)
    return first(select(AuditLog).where(condition), AuditLog)


def before(at: datetime) -> Any:
    tie = (Incident.created_at < at) | (Incident.id > MIDDLE)
    return (Incident.created_at <= at) & tie


BOX = (in_box, lambda edges: in_box(edges, in_case=True))


def cases(rows: int) -> list[Case]:
    """Return all cases."""

    def moment(draws: random.Random) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draws.randrange(rows // 10, rows))

    def one_of(count: int, shape: str = "{}") -> Callable[[random.Random], str]:
        return lambda draws: shape.format(draws.randrange(count))

    return [
        Case(
            "near, within 5 km",
            place,
            lambda center: incidents.near(center, within=5000, limit=20),
            (lambda center: near(center, 5000),),
            lambda center: nearest(center, 5000),
        ),
        Case(
            "near, within 300 m",
            place,
            lambda center: incidents.near(center, within=300, limit=20),
            (lambda center: near(center, 300),),
            lambda center: nearest(center, 300),
        ),
        Case(
            "near, beyond 1.5 km",
            place,
            lambda center: incidents.near(
                center, within=20_000, limit=20, after=DistanceCursor(1500.0, MIDDLE)
            ),
            (lambda center: near(center, 20_000, 1500),),
        ),
        Case("in a box of 0.1 degrees", box(0.1), lambda edges: incidents.in_box(*edges), BOX),
        Case("in a box of 1 degree", box(1), lambda edges: incidents.in_box(*edges), BOX),
        Case(
            "in an area of 0.1 degrees",
            box(0.1),
            lambda edges: incidents.in_area(polygon(edges)),
            (in_area,),
        ),
        Case("in an area of 1 degree", box(1), lambda edges: incidents.in_area(polygon(edges)), (in_area,)),
        Case(
            "by data, 1 row in 5,000",
            lambda draws: {"code": draws.randrange(5000)},
            incidents.by_data,
            (by_data,),
        ),
        Case(
            "by data, 1 row in 300",
            lambda draws: {"place": draws.randrange(300)},
            incidents.by_data,
            (by_data,),
        ),
        Case(
            "newest",
            one_of(1),
            lambda _: incidents.newest(),
            (lambda _: first(select(Incident)),),
        ),
        Case(
            "newest, a later page",
            moment,
            lambda at: incidents.newest(after=TimeCursor(at, MIDDLE)),
            (lambda at: first(select(Incident).where(before(at))),),
        ),
        Case(
            "by domain, before a time",
            moment,
            lambda at: incidents.by_domain("domain-3", until=at),
            (
                lambda at: first(
                    select(Incident).where(Incident.domain_id == "domain-3", Incident.created_at < at)
                ),
            ),
        ),
        Case(
            "by category",
            one_of(40, "c{}"),
            incidents.by_category,
            (lambda category: first(select(Incident).where(Incident.category == category)),),
        ),
        Case(
            "documents by two words",
            lambda draws: f"w{draws.randrange(3000)} w{draws.randrange(200)}",
            documents.with_words,
            (with_words,),
        ),
        Case(
            "messages of a conversation",
            lambda draws: UUID(f"00000000-0000-7000-8000-{draws.randrange(1, 101):012x}"),
            conversations.messages,
            (messages,),
        ),
        Case("audit trail", one_of(500), lambda resource: audit.trail("incident", resource), (trail,)),
    ]
