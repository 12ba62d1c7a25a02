"""Areas and boxes, read from what applications hold and written as the text that PostGIS reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from dbschema.models.incidents import MOST_CORNERS
from dbschema.orm.geography import GeoPoint, as_point
from dbschema.queries.errors import BadSearch

FARTHEST = 20_037_508.0
"""Metres to the other side of the Earth."""

_SHAPES = "Give GeoJSON of type Polygon or MultiPolygon, or a geometry that has `__geo_interface__`"


def place_of(value: object) -> GeoPoint:
    """`value` as a place, in any shape that `dbschema.orm.geography.as_point` reads.

    Raises:
        BadSearch: it is none.
    """
    try:
        return as_point(value)
    except ValueError as error:
        raise BadSearch("place", f"is none: {error}", "Give longitude and latitude, in degrees") from None


def metres_of(value: float) -> float:
    """`value` as a distance.

    Raises:
        BadSearch: it is negative or no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise BadSearch("distance", f"is {value!r}", "Give a number of metres")
    return float(min(value, FARTHEST))


def area_of(value: Any) -> str:
    """A polygon, or several, as text.

    Edges are the shortest ways between corners on the globe, not lines on a map.

    Args:
        value: GeoJSON (Polygon, MultiPolygon, or a Feature with one), or anything with `__geo_interface__` (Shapely).

    Raises:
        BadSearch: it is something else, a ring is not closed, a corner lies off the Earth, or there are too many.
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
        raise BadSearch("area", f"has {corners} corners", f"Simplify it to {MOST_CORNERS}")
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
        raise BadSearch("area", "has a ring that is not closed", "Let each ring end where it begins")
    return [f"{corner.longitude!r} {corner.latitude!r}" for corner in corners]


def _corner(value: Any) -> GeoPoint:
    corner = _items(value)
    if len(corner) not in {2, 3}:
        raise BadSearch("area", "has a corner that is no pair", _SHAPES)
    try:
        return as_point(list(corner[:2]))  # a height says nothing here
    except ValueError as error:
        raise BadSearch("area", f"has a corner off the Earth: {error}", _SHAPES) from None


def box_of(west: float, south: float, east: float, north: float) -> dict[str, float]:
    """The edges of a box in degrees; west of east, unless it goes over the 180th meridian.

    Raises:
        BadSearch: an edge lies off the Earth, or the south is in the north.
    """
    try:
        lower, upper = as_point((west, south)), as_point((east, north))
    except ValueError as error:
        raise BadSearch("box", f"is none: {error}", "Give west, south, east and north, in degrees") from None
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
