"""The searches of incidents whose conditions no index serves under a policy: by place and by structured data."""

from __future__ import annotations

from dbschema.ddl.functions import Argument
from dbschema.ddl.search import search_function

TABLE = "incidents"
MOST_CORNERS = 10_000
"""How many corners the area of a search may have; each row in question is compared with each of them."""

POSTGIS = ("postgis",)
_TIME = "timestamp with time zone"
_FILTERS = (
    Argument("in_domain", "text", "NULL"),
    Argument("with_status", "text", "NULL"),
    Argument("created_from", _TIME, "NULL"),
    Argument("created_before", _TIME, "NULL"),
)
_FILTERED = """
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)"""
_AFTER_TIME = (Argument("after_created_at", _TIME, "NULL"), Argument("after_id", "uuid", "NULL"))
_LATER_PAGE = """
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))"""
_NEWEST_FIRST = "item.created_at DESC, item.id"

INCIDENTS_NEAR = search_function(
    "search_incidents_near",
    TABLE,
    (
        Argument("place", "geography"),
        Argument("metres", "double precision"),
        *_FILTERS,
        Argument("after_distance", "double precision", "NULL"),
        Argument("after_id", "uuid", "NULL"),
    ),
    # On the sphere, as the index measures: nearest first would otherwise contradict the distances.
    condition="ST_DWithin(item.location, place, metres, false)"
    + _FILTERED
    + """
        AND (after_distance IS NULL OR (item.location <-> place) > after_distance
             OR ((item.location <-> place) = after_distance AND item.id > after_id))""",
    order="item.location <-> place",
    nearest_first=True,
    extensions=POSTGIS,
    comment="Incidents of the tenant within so many metres of a place, nearest first",
)

# A box of degrees has edges along parallels, which no polygon on the sphere has. The index keeps boxes in three
# dimensions; the one around these points is exactly that of the box, for the extremes of cos(latitude) times
# cos(longitude), and of sin, lie at its edges, at the equator and at the quarters of the globe. Those that are outside are
# NULL, and so are their points. Expressions without a SELECT, for that would be planned anew at each call.
_QUARTERS = {f"quarter_{number}": longitude for number, longitude in enumerate((-180, -90, 0, 90, 180), 1)}
_POINTS = ",\n        ".join(
    ", ".join(f"ST_MakePoint({x}, {y})" for x in ("west", "east", *_QUARTERS))
    for y in ("south", "north", "equator")
)
_COVERING = (
    "equator CONSTANT double precision := CASE WHEN 0 BETWEEN south AND north THEN 0 END",
    *(
        f"{name} CONSTANT double precision := CASE WHEN west <= {x} AND {x} <= east"
        f" OR west > east AND (west <= {x} OR {x} <= east) THEN {x} END"
        for name, x in _QUARTERS.items()
    ),
    f"covering CONSTANT geography := ST_SetSRID(ST_Collect(ARRAY[\n        {_POINTS}]), 4326)::geography",
)

INCIDENTS_IN_BOX = search_function(
    "search_incidents_in_box",
    TABLE,
    (
        *(Argument(name, "double precision") for name in ("west", "south", "east", "north")),
        *_FILTERS,
        *_AFTER_TIME,
    ),
    values=_COVERING,
    # In a CASE, because the planner takes each comparison of an expression for a rare one, and the box for almost empty.
    condition="""item.location && covering
        AND CASE WHEN ST_Y(item.location::geometry) NOT BETWEEN south AND north THEN false
            WHEN west <= east THEN ST_X(item.location::geometry) BETWEEN west AND east
            ELSE ST_X(item.location::geometry) >= west OR ST_X(item.location::geometry) <= east END"""
    + _FILTERED
    + _LATER_PAGE,
    order=_NEWEST_FIRST,
    plans="force_custom_plan",
    extensions=POSTGIS,
    comment="Incidents of the tenant between two longitudes and two latitudes, newest first; west > east: over 180 degrees",
)

INCIDENTS_IN_AREA = search_function(
    "search_incidents_in_area",
    TABLE,
    (Argument("area", "geography"), *_FILTERS, *_AFTER_TIME),
    condition="ST_Covers(area, item.location)" + _FILTERED + _LATER_PAGE,
    order=_NEWEST_FIRST,
    refused=f"ST_NPoints(area::geometry) > {MOST_CORNERS}",
    plans="force_custom_plan",
    extensions=POSTGIS,
    comment="Incidents of the tenant in a polygon or several, newest first",
)

INCIDENTS_BY_DATA = search_function(
    "search_incidents_by_data",
    TABLE,
    (Argument("contained", "jsonb"), *_FILTERS, *_AFTER_TIME),
    condition="item.structured_data @> contained" + _FILTERED + _LATER_PAGE,
    order=_NEWEST_FIRST,
    comment="Incidents of the tenant whose structured data contain others, newest first",
)

INCIDENT_SEARCHES = (INCIDENTS_NEAR, INCIDENTS_IN_BOX, INCIDENTS_IN_AREA, INCIDENTS_BY_DATA)
