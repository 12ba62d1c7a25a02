"""Incidents near a place, in a box or an area, by what they hold, by domain, by category, and from the newest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, cast, literal, select

from dbschema.models import Incident
from dbschema.models.incidents import INCIDENTS_BY_DATA, INCIDENTS_IN_AREA, INCIDENTS_IN_BOX, INCIDENTS_NEAR
from dbschema.queries.arguments import data_of, moment_of, status_of, text_of
from dbschema.queries.cursors import DistanceCursor, TimeCursor, cursor, newest_first, older_than, page_size
from dbschema.queries.places import area_of, box_of, metres_of, place_of
from dbschema.queries.searching import Geography, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select

    from dbschema.models import IncidentStatus

PAGE = 50


def near(
    place: object,
    *,
    within: float,
    domain: str | None = None,
    status: IncidentStatus | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: DistanceCursor | str | None = None,
) -> Select[Incident, float]:
    """Incidents within so many metres of a place, nearest first, each with its distance in metres.

    Distances are those on a sphere, which is how the index has them; they differ from the ellipsoid's by up to 0.5 %. A
    page further on reads the index from the place again: pages are for looking on, not for reading all.

    Index: idx_incidents_location, by the function `search_incidents_near`.

    Args:
        place: a `GeoPoint`, or anything that can be read as one.
        within: metres.
        domain, status: only those of it.
        since, until: created from then on, and before then.
        limit: rows of the page, 1 to 1000.
        after: `DistanceCursor(distance, incident.id)` of the last row, or its text; the same place and filters.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    last = cursor(DistanceCursor, after)
    longitude, latitude = place_of(place)
    point = f"SRID=4326;POINT({longitude!r} {latitude!r})"
    hits = rows_of(
        Incident,
        INCIDENTS_NEAR,
        place=point,
        metres=metres_of(within),
        **_filters(domain, status, since, until),
        after_distance=None if last is None else last.metres,
        after_id=None if last is None else last.id,
        page_size=page_size(limit),
    )
    distance: ColumnElement[float] = hits.location.op("<->", return_type=Double())(
        cast(literal(point, Geography()), Geography())
    )
    return select(hits, distance.label("distance")).order_by(distance, hits.id)


def in_box(
    west: float,
    south: float,
    east: float,
    north: float,
    *,
    domain: str | None = None,
    status: IncidentStatus | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: TimeCursor | str | None = None,
) -> Select[Incident]:
    """Incidents between two longitudes and two latitudes, edges included, newest first.

    Index: idx_incidents_location; for a box that holds much of what there is, idx_incidents_created_at. By the function
    `search_incidents_in_box`.

    Args:
        west, south, east, north: degrees; west > east is a box over the 180th meridian.
        domain, status, since, until, limit: as for `near`.
        after: `TimeCursor.of(…)` the last row, or its text.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _newest(
        INCIDENTS_IN_BOX,
        after,
        limit,
        **box_of(west, south, east, north),
        **_filters(domain, status, since, until),
    )


def in_area(
    area: object,
    *,
    domain: str | None = None,
    status: IncidentStatus | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: TimeCursor | str | None = None,
) -> Select[Incident]:
    """Incidents in a polygon or several, newest first.

    Index: idx_incidents_location; for an area that holds much of what there is, idx_incidents_created_at. By the function
    `search_incidents_in_area`.

    Args:
        area: GeoJSON or a geometry, with up to 10,000 corners; see `area_of`.
        domain, status, since, until, limit: as for `near`.
        after: as for `in_box`.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _newest(
        INCIDENTS_IN_AREA,
        after,
        limit,
        area=area_of(area),
        **_filters(domain, status, since, until),
    )


def by_data(
    contained: Mapping[str, Any],
    *,
    domain: str | None = None,
    status: IncidentStatus | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: TimeCursor | str | None = None,
) -> Select[Incident]:
    """Incidents whose `structured_data` contain `contained`, newest first.

    Objects contain each other key by key, at any depth: {"vehicle": {"wheels": 2}}. For the key `category` alone use
    `by_category`, whose cost does not grow with the number of rows that match.

    Index: idx_incidents_structured_data, by the function `search_incidents_by_data`.

    Args:
        contained: keys and values; values become JSON.
        domain, status, since, until, limit: as for `near`.
        after: as for `in_box`.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _newest(
        INCIDENTS_BY_DATA,
        after,
        limit,
        contained=data_of(contained),
        **_filters(domain, status, since, until),
    )


def newest(*, limit: int = PAGE, after: TimeCursor | str | None = None) -> Select[Incident]:
    """Incidents from the newest on.

    Index: idx_incidents_created_at.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _page(select(Incident), limit, after)


def by_domain(
    domain: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: TimeCursor | str | None = None,
) -> Select[Incident]:
    """Incidents of a domain that were created in a span of time, newest first.

    Index: idx_incidents_tenant_domain.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _page(
        _between(select(Incident).where(Incident.domain_id == text_of("domain", domain)), since, until),
        limit,
        after,
    )


def by_category(
    category: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
    after: TimeCursor | str | None = None,
) -> Select[Incident]:
    """Incidents whose `structured_data` have this `category`, newest first.

    Index: idx_incidents_category.

    Raises:
        BadSearch, BadCursor: an argument is wrong.
    """
    return _page(
        _between(select(Incident).where(Incident.category == text_of("category", category)), since, until),
        limit,
        after,
    )


def _page(statement: Select[Incident], limit: int, after: TimeCursor | str | None) -> Select[Incident]:
    last = cursor(TimeCursor, after)
    if last is not None:
        statement = statement.where(older_than(Incident, last))
    return statement.order_by(*newest_first(Incident)).limit(page_size(limit))


def _newest(
    function: Any, after: TimeCursor | str | None, limit: int, **arguments: object
) -> Select[Incident]:
    last = cursor(TimeCursor, after)
    hits = rows_of(
        Incident,
        function,
        **arguments,
        after_created_at=None if last is None else last.created_at,
        after_id=None if last is None else last.id,
        page_size=page_size(limit),
    )
    return select(hits).order_by(*newest_first(hits))


def _between(statement: Select[Incident], since: datetime | None, until: datetime | None) -> Select[Incident]:
    if moment_of("since", since) is not None:
        statement = statement.where(Incident.created_at >= since)
    if moment_of("until", until) is not None:
        statement = statement.where(Incident.created_at < until)
    return statement


def _filters(
    domain: str | None, status: IncidentStatus | str | None, since: datetime | None, until: datetime | None
) -> dict[str, object]:
    return {
        "in_domain": None if domain is None else text_of("domain", domain),
        "with_status": status_of(status),
        "created_from": moment_of("since", since),
        "created_before": moment_of("until", until),
    }
