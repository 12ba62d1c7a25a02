"""Validate places, distances, areas and boxes, and convert areas to the text format of PostGIS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from dbschema.models.incidents import MOST_CORNERS
from dbschema.orm.geography import GeoPoint, as_point
from dbschema.queries.errors import BadSearch

FARTHEST = 20_037_508.0
"""Metres to the opposite point of the Earth; longer distances are reduced to it."""

_SHAPES = "Give GeoJSON of type Polygon or MultiPolygon, or a geometry that has `__geo_interface__`"


def place_of(value: object) -> GeoPoint:
    """Convert `value` to a place; `dbschema.orm.geography.as_point` lists the accepted shapes.

    Raises:
        BadSearch: the value is not a place.
    """
    try:
        return as_point(value)
    except ValueError as error:
        raise BadSearch(
            "place", f"is not valid: {error}", "Give longitude and latitude, in degrees"
        ) from None


def metres_of(value: float) -> float:
    """Return `value` as a distance in metres, at most `FARTHEST`.

    Raises:
        BadSearch: the value is negative, infinite or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise BadSearch("distance", f"is {value!r}", "Give a number of metres")
    return float(min(value, FARTHEST))


def area_of(value: Any) -> str:
    """Convert one or more polygons to EWKT.

    Edges are the shortest paths between corners on the globe, not straight lines on a map.

    Args:
        value: GeoJSON (Polygon, MultiPolygon, or a Feature with one of these), or an object with `__geo_interface__`
            (Shapely).

    Raises:
        BadSearch: the value has another shape, a ring is not closed, the coordinates of a corner are out of range, or
            there are too many corners.
    """
    shape = getattr(value, "__geo_interface__", value)
    if isinstance(shape, Mapping) and shape.get("type") == "Feature":
        shape = shape.get("geometry")
    if not isinstance(shape, Mapping):
        raise BadSearch("area", f"is a {type(value).__name__}", _SHAPES)
    kind, coordinates = shape.get("type"), shape.get("coordinates")
    if kind not in {"Polygon", "MultiPolygon"}:
        raise BadSearch("area", f"is a {str(kind)[:40]!r}", _SHAPES)
    polygons = [coordinates] if kind == "Polygon" else _items(coordinates)
    written = [[_ring(ring) for ring in _items(polygon)] for polygon in polygons]
    if not written or not all(written):
        raise BadSearch("area", "has no corners", _SHAPES)
    corners = sum(len(ring) for polygon in written for ring in polygon)
    if corners > MOST_CORNERS:
        raise BadSearch("area", f"has {corners} corners", f"Simplify it to at most {MOST_CORNERS}")
    text = _listed(_listed(_listed(ring) for ring in polygon) for polygon in written)
    return f"SRID=4326;MULTIPOLYGON{text}"


def _listed(parts: Iterable[str]) -> str:
    return f"({', '.join(parts)})"


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise BadSearch("area", "has no lists of corners", _SHAPES)
    return value


def _ring(value: Any) -> list[str]:
    corners = [_corner(corner) for corner in _items(value)]
    if len(corners) < 4 or corners[0] != corners[-1]:
        raise BadSearch("area", "has a ring that is not closed", "End each ring with its first corner")
    return [f"{corner.longitude!r} {corner.latitude!r}" for corner in corners]


def _corner(value: Any) -> GeoPoint:
    corner = _items(value)
    if len(corner) not in {2, 3}:
        raise BadSearch("area", "has a corner that is not a pair", _SHAPES)
    try:
        return as_point(list(corner[:2]))  # the height is ignored
    except ValueError as error:
        raise BadSearch("area", f"has a corner off the Earth: {error}", _SHAPES) from None


def box_of(west: float, south: float, east: float, north: float) -> dict[str, float]:
    """Return the edges of a box in degrees; west > east is a box across the 180th meridian.

    Raises:
        BadSearch: an edge is out of range, or the southern edge is north of the northern edge.
    """
    try:
        lower, upper = as_point((west, south)), as_point((east, north))
    except ValueError as error:
        raise BadSearch(
            "box", f"is not valid: {error}", "Give west, south, east and north, in degrees"
        ) from None
    if lower.latitude > upper.latitude:
        raise BadSearch(
            "box", "has its south above its north", "Give west, south, east and north, in this order"
        )
    return {
        "west": lower.longitude,
        "south": lower.latitude,
        "east": upper.longitude,
        "north": upper.latitude,
    }
