"""Query incidents by place, box, area, structured data, domain or category, or simply the newest."""

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
    """Select incidents within a distance of a place, nearest first, each with its distance in metres.

    Distances are measured on a sphere, as in the index; they differ from distances on the ellipsoid by up to 0.5 %. Each
    further page scans the index from the place again: do not read all rows with pages.

    Index: idx_incidents_location, by the function `search_incidents_near`.

    Args:
        place: a `GeoPoint`, or a value that `as_point` accepts.
        within: maximum distance, in metres.
        domain, status: select only incidents of this domain and this status.
        since, until: select only incidents created at or after `since`, and before `until`.
        limit: number of rows of the page, 1 to 1000.
        after: `DistanceCursor(distance, incident.id)` of the last row, or its text; place and filters must be the same.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
    """Select incidents between two longitudes and two latitudes, edges included, newest first.

    Index: idx_incidents_location; for a box that contains most rows, idx_incidents_created_at. By the function
    `search_incidents_in_box`.

    Args:
        west, south, east, north: degrees; west > east is a box across the 180th meridian.
        domain, status, since, until, limit: see `near`.
        after: `TimeCursor.of(…)` of the last row, or its text.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
    """Select incidents in one or more polygons, newest first.

    Index: idx_incidents_location; for an area that contains most rows, idx_incidents_created_at. By the function
    `search_incidents_in_area`.

    Args:
        area: GeoJSON or a geometry, with at most 10,000 corners; see `area_of`.
        domain, status, since, until, limit: see `near`.
        after: see `in_box`.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
    """Select incidents whose `structured_data` contain `contained`, newest first.

    Objects are compared key by key, at any depth: {"vehicle": {"wheels": 2}}. For the key `category` alone, use
    `by_category`: its cost does not grow with the number of matching rows.

    Index: idx_incidents_structured_data, by the function `search_incidents_by_data`.

    Args:
        contained: keys and values; values are converted to JSON.
        domain, status, since, until, limit: see `near`.
        after: see `in_box`.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
    """
    return _newest(
        INCIDENTS_BY_DATA,
        after,
        limit,
        contained=data_of(contained),
        **_filters(domain, status, since, until),
    )


def newest(*, limit: int = PAGE, after: TimeCursor | str | None = None) -> Select[Incident]:
    """Select incidents, newest first.

    Index: idx_incidents_created_at.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
    """Select incidents of a domain, created in a period of time, newest first.

    Index: idx_incidents_tenant_domain.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
    """Select incidents whose `structured_data` have this `category`, newest first.

    Index: idx_incidents_category.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
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
