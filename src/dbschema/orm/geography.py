"""A column type for places: an application writes and reads longitude and latitude.

The type is based on GeoAlchemy2. It accepts the representations that applications use: pairs of numbers, Shapely
geometries, GeoJSON, objects with `__geo_interface__`, WKT, and the elements of GeoAlchemy2.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from geoalchemy2 import Geography
from geoalchemy2.elements import WKBElement, WKTElement
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

WGS84 = 4326
_EWKB_SRID_FLAG = 0x20000000
_EWKB_DIMENSION_FLAGS = 0xC0000000
_WKB_POINT = 1


class GeoPoint(NamedTuple):
    """A place on Earth, WGS 84: `longitude` -180 to 180 and `latitude` -90 to 90, in degrees.

    It unpacks as (longitude, latitude), the order of GeoJSON. Shapely accepts it (`shapely.geometry.shape`).
    """

    longitude: float
    latitude: float

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        return {"type": "Point", "coordinates": (self.longitude, self.latitude)}

    @property
    def __sa_type_engine__(self) -> TypeEngine[Any]:
        """The SQL type of a place as an argument, as in `func.ST_Distance(Incident.location, GeoPoint(7.4, 46.9))`."""
        return GeographyPoint()


def as_point(value: Any) -> GeoPoint:
    """Convert a value to a place.

    Accepts a pair (longitude, latitude) of numbers, a mapping with `longitude` and `latitude`, GeoJSON (a Point or a
    Feature with a Point), an object with `__geo_interface__` (Shapely), WKT or EWKT, or a GeoAlchemy2 element.

    Raises:
        ValueError: the value has another shape, is not a WGS 84 point, or its coordinates are out of range.
    """
    point = _read(value)
    if not (isfinite(point.longitude) and isfinite(point.latitude)):
        raise ValueError(f"A place needs finite coordinates, not {point}")
    if not -180 <= point.longitude <= 180 or not -90 <= point.latitude <= 90:
        raise ValueError(
            f"Longitude lies between -180 and 180 and latitude between -90 and 90 degrees, in this order; got {tuple(point)}"
        )
    return point


def _read(value: Any) -> GeoPoint:
    if isinstance(value, WKBElement | WKTElement):
        value = value.data
        if isinstance(value, str) and not value.lstrip()[:1].isalpha():
            value = bytes.fromhex(value)
    if isinstance(value, str):
        return _from_wkt(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return point_from_wkb(bytes(value))
    interface = getattr(value, "__geo_interface__", value)
    if isinstance(interface, Mapping):
        return _from_mapping(interface)
    if isinstance(interface, Sequence):
        return _from_pair(interface)
    raise ValueError(
        f"A place is a pair (longitude, latitude), GeoJSON, WKT or a geometry, not {type(value).__name__}"
    )


def _from_pair(pair: Sequence[Any]) -> GeoPoint:
    if len(pair) != 2:
        raise ValueError(f"A place has two coordinates, longitude and latitude, not {len(pair)}")
    try:
        return GeoPoint(float(pair[0]), float(pair[1]))
    except (TypeError, ValueError):
        raise ValueError("The coordinates of a place are two numbers, longitude and latitude") from None


def _from_mapping(value: Mapping[str, Any]) -> GeoPoint:
    kind = value.get("type")
    if kind == "Feature" and isinstance(value.get("geometry"), Mapping):
        return _from_mapping(value["geometry"])
    if kind == "Point" and isinstance(value.get("coordinates"), Sequence):
        return _from_pair(value["coordinates"])
    if kind is None and {"longitude", "latitude"} <= value.keys():
        return _from_pair((value["longitude"], value["latitude"]))
    raise ValueError(f"A place in GeoJSON is only a Point or a Feature with a Point, not {kind!r}")


def _from_wkt(value: str) -> GeoPoint:
    srid, separator, wkt = value.rpartition(";")
    if separator and srid.strip().upper() != f"SRID={WGS84}":
        raise ValueError(f"A place is in WGS 84 (SRID={WGS84}), not in {srid.strip()}")
    head, _, rest = wkt.strip().partition("(")
    if head.strip().upper() != "POINT" or not rest.endswith(")"):
        raise ValueError(f"As text, a place is written POINT(longitude latitude), not {value[:60]!r}")
    return _from_pair(rest[:-1].split())


def point_from_wkb(data: bytes) -> GeoPoint:
    """Decode a two-dimensional point from WKB or EWKB (at least 21 bytes, either byte order)."""
    try:
        order = "<" if data[0] == 1 else ">"
        (kind,) = struct.unpack_from(f"{order}I", data, 1)
        offset = 9 if kind & _EWKB_SRID_FLAG else 5
        if kind & _EWKB_DIMENSION_FLAGS or kind & 0xFFFF != _WKB_POINT:
            raise ValueError("A place is a two-dimensional point")
        if offset == 9 and struct.unpack_from(f"{order}I", data, 5) != (WGS84,):
            raise ValueError(f"A place is in WGS 84 (SRID={WGS84})")
        return GeoPoint(*struct.unpack_from(f"{order}dd", data, offset))
    except (IndexError, struct.error):
        raise ValueError("These bytes are not a point in well-known binary (WKB)") from None


class GeographyPoint(TypeDecorator[GeoPoint]):
    """geography(Point, 4326): distances in metres, `GeoPoint` in Python.

    The automatic spatial index of GeoAlchemy2 is disabled: it would collide with the index that the model declares, and
    row-level security needs an index with tenant_id first.
    """

    impl = Geography
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(geometry_type="POINT", srid=WGS84, spatial_index=False)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a place to EWKT for the driver."""
        if value is None:
            return None
        point = self.python_value(value)
        return f"SRID={WGS84};POINT({point.longitude!r} {point.latitude!r})"

    def sample(self) -> str:
        """Return a value that a column of this type accepts."""
        return "SRID=4326;POINT(0 0)"

    def python_value(self, value: Any) -> GeoPoint:
        """Convert `value` to a place; see `as_point`."""
        return as_point(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> GeoPoint | None:  # noqa: ARG002  SQLAlchemy's signature
        """Convert a value from the driver to a place."""
        return None if value is None else _read(value)

    def __repr__(self) -> str:
        return "GeographyPoint()"


def geography_point(*, comment: str | None = None) -> MappedColumn[Any]:
    """Return a column for a place: geography(Point, 4326), `GeoPoint` in Python."""
    return mapped_column(GeographyPoint(), comment=comment)
