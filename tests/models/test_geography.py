"""A place goes in in any shape that applications hold, and comes back as longitude and latitude."""

from __future__ import annotations

import math
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import shapely
from geoalchemy2.shape import from_shape
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from dbschema.models import Incident, Tenant
from dbschema.orm.geography import GeoPoint, as_point, point_from_wkb

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection

BERN = GeoPoint(7.4474, 46.948)
SHAPES = {
    "pair": (7.4474, 46.948),
    "list": [7.4474, 46.948],
    "point": BERN,
    "mapping": {"longitude": 7.4474, "latitude": 46.948},
    "geojson": {"type": "Point", "coordinates": [7.4474, 46.948]},
    "feature": {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [7.4474, 46.948]}},
    "interface": SimpleNamespace(__geo_interface__={"type": "Point", "coordinates": (7.4474, 46.948)}),
    "shapely": shapely.Point(7.4474, 46.948),
    "wkt": "POINT(7.4474 46.948)",
    "ewkt": "SRID=4326;POINT (7.4474 46.948)",
    "wkb": shapely.Point(7.4474, 46.948).wkb,
    "ewkb": shapely.to_wkb(shapely.set_srid(shapely.Point(7.4474, 46.948), 4326), include_srid=True),
    "geoalchemy2": from_shape(shapely.Point(7.4474, 46.948), srid=4326),
}  # fmt: skip
longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_read(shape: Any) -> None:
    assert as_point(shape) == BERN


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((181, 0), "Longitude lies between"),
        ((0, 90.001), "Longitude lies between"),
        ((math.nan, 0), "finite"),
        ((0, math.inf), "finite"),
        ((1, 2, 3), "two coordinates"),
        (("a", "b"), "two numbers"),
        ("LINESTRING(0 0, 1 1)", "POINT"),
        ("SRID=3857;POINT(0 0)", "WGS 84"),
        ({"type": "Polygon", "coordinates": []}, "only a Point"),
        (shapely.Point(1, 2, 3), "two coordinates"),
        (shapely.LineString([(0, 0), (1, 1)]), "only a Point"),
        (b"\x01\x02", "well-known binary"),
        (7, "not int"),
    ],
)
def test_what_is_no_place_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_point(value)


@given(longitudes, latitudes, st.sampled_from("<>"), st.booleans())
def test_well_known_binary_is_read_in_either_byte_order(
    lon: float, lat: float, order: str, with_srid: bool
) -> None:
    head = struct.pack("<b", 1 if order == "<" else 0)
    head += struct.pack(order + "II", 0x20000001, 4326) if with_srid else struct.pack(order + "I", 1)

    assert point_from_wkb(head + struct.pack(order + "dd", lon, lat)) == GeoPoint(lon, lat)


@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        point = point_from_wkb(data)
    except ValueError:
        return
    assert len(point) == 2


def test_places_come_back_from_the_database_to_the_last_digit(connection: Connection) -> None:
    places = [GeoPoint(0.1 + 0.2, -89.99999999999999), GeoPoint(-180, 90), GeoPoint(1e-300, 5e-324), BERN]
    tenant = connection.execute(
        insert(Tenant).values(tenant_name="T", slug="t").returning(Tenant.id)
    ).scalar_one()

    connection.execute(
        insert(Incident), [{"tenant_id": tenant, "domain_id": "d", "location": place} for place in places]
    )

    found = connection.execute(select(Incident.location)).scalars().all()
    assert sorted(found) == sorted(places)
    assert all(isinstance(place, GeoPoint) for place in found)


def test_a_place_is_a_geography_to_postgis(connection: Connection) -> None:
    """Bern to Zurich are 96 km; degrees taken for metres, or swapped, would say something else."""
    metres = connection.execute(
        select(text("ST_Distance(:a ::geography, :b ::geography)").bindparams(
            a="POINT(7.4474 46.948)", b="POINT(8.5417 47.3769)"))
    ).scalar_one()  # fmt: skip

    assert metres == pytest.approx(95_800, rel=0.01)
