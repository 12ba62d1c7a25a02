"""What is no place, box or area is told before the database is asked, and what is one is written with nothing but numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from dbschema.orm.geography import GeoPoint
from dbschema.queries import BadSearch, area_of, incidents

SQUARE = [(7, 46), (8, 46), (8, 47), (7, 47), (7, 46)]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}


@pytest.mark.parametrize(
    "area",
    [
        POLYGON,
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        {"type": "Feature", "properties": {}, "geometry": POLYGON},
        shapely.Polygon(SQUARE),
        shapely.MultiPolygon([shapely.Polygon(SQUARE)]),
        {"type": "Polygon", "coordinates": [[(*corner, 400.0) for corner in SQUARE]]},
    ],
    ids=["polygon", "polygons", "feature", "shapely", "shapely's polygons", "with heights"],
)
def test_an_area_is_read_in_any_shape(area: Any) -> None:
    assert area_of(area) == "SRID=4326;MULTIPOLYGON(((7.0 46.0, 8.0 46.0, 8.0 47.0, 7.0 47.0, 7.0 46.0)))"


@pytest.mark.parametrize(
    ("area", "reason"),
    [
        ("POLYGON((7 46, 8 46, 8 47, 7 46))", "is a str"),
        (None, "is a NoneType"),
        ({"type": "Point", "coordinates": [7, 46]}, "is a 'Point'"),
        ({"type": "GeometryCollection", "geometries": [POLYGON]}, "is a 'GeometryCollection'"),
        ({"type": "Polygon", "coordinates": []}, "has no corners"),
        ({"type": "MultiPolygon", "coordinates": []}, "has no corners"),
        ({"type": "Polygon"}, "no lists"),
        ({"type": "Polygon", "coordinates": [SQUARE[:-1]]}, "not closed"),
        ({"type": "Polygon", "coordinates": [[(7, 46), (8, 46), (7, 46)]]}, "not closed"),
        ({"type": "Polygon", "coordinates": [[(7, 96), *SQUARE[1:4], (7, 96)]]}, "off the Earth"),
        ({"type": "Polygon", "coordinates": [[(7, float("nan")), *SQUARE]]}, "off the Earth"),
        ({"type": "Polygon", "coordinates": [["7 46)); DROP TABLE incidents; --", *SQUARE]]}, "no lists"),
        ({"type": "Polygon", "coordinates": [[("7", "46 )"), *SQUARE]]}, "off the Earth"),
        ({"type": "Polygon", "coordinates": [[*SQUARE[:-1]] * 1 + [(7, 46)] * 10_001]}, "corners"),
    ],
)
def test_what_is_no_area_is_told(area: Any, reason: str) -> None:
    with pytest.raises(BadSearch, match=re.escape(reason)):
        incidents.in_area(area)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=5),
        max_leaves=20,
    )
)
def test_no_coordinates_whatever_become_anything_but_numbers(coordinates: Any) -> None:
    for kind in ("Polygon", "MultiPolygon"):
        try:
            text = area_of({"type": kind, "coordinates": coordinates})
        except BadSearch:
            continue
        assert re.fullmatch(r"SRID=4326;MULTIPOLYGON[()0-9.e, -]+", text)


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((0, 10, 1, 5), "south above its north"),
        ((0, -91, 1, 5), "latitude"),
        ((0, 0, 181, 5), "Longitude"),
        ((0, 0, float("nan"), 5), "finite"),
    ],
)
def test_what_is_no_box_is_told(edges: tuple[float, float, float, float], reason: str) -> None:
    with pytest.raises(BadSearch, match=reason):
        incidents.in_box(*edges)


@pytest.mark.parametrize("within", [-1, float("nan"), float("inf"), "5", None, True])
def test_what_is_no_distance_is_told(within: Any) -> None:
    with pytest.raises(BadSearch, match="distance"):
        incidents.near(GeoPoint(7, 46), within=within)


@pytest.mark.parametrize("place", ["nowhere", (1, 2, 3), GeoPoint(200, 0), None])
def test_what_is_no_place_is_told(place: Any) -> None:
    with pytest.raises(BadSearch, match="place"):
        incidents.near(place, within=5)
