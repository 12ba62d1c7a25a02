"""Converters of single values: from Python values to PostgreSQL's binary format.

Each function raises `InvalidValue` with a reason that does not quote the value: errors are logged, and rows hold
personal data.
"""

from __future__ import annotations

import ipaddress
import operator
import struct
from datetime import UTC
from datetime import date as Date  # noqa: N812  the functions here are named after the types of PostgreSQL
from datetime import datetime as DateTime  # noqa: N812  as above
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ClauseElement

from dbschema.orm.geography import WGS84, GeoPoint, as_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NUL = "holds the character NUL, which PostgreSQL does not store in text"
SURROGATE = "holds half of a surrogate pair, which is no character"
_DATETIME_EPOCH = DateTime(2000, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = DateTime(2000, 1, 1)  # noqa: DTZ001  timestamp without time zone
_DATE_EPOCH = Date(2000, 1, 1).toordinal()
_INFINITY = {"infinity": 1, "-infinity": -1}
_EWKB_POINT = struct.Struct("<BIIdd")
_EWKB_KIND = 0x20000001  # a point that names its SRID
_FLOAT4 = struct.Struct(">f")


class InvalidValue(ValueError):
    """A value that the column cannot hold; the message is the reason."""


def wrong_type(expected: str, value: Any) -> InvalidValue:
    """Return the error for a value that is not of the expected kind."""
    if isinstance(value, ClauseElement) or hasattr(value, "__clause_element__"):
        return InvalidValue("is an SQL expression, not a value")
    return InvalidValue(f"is no {expected} but of type {type(value).__name__}")


def text(encoding: str) -> Callable[[Any], str]:
    """Make a converter for text that the client's encoding can represent."""

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type("text", value)
        if "\0" in value:
            raise InvalidValue(NUL)
        if not value.isascii():
            try:
                value.encode(encoding)
            except UnicodeEncodeError:
                raise InvalidValue(_unencodable(value, encoding)) from None
        return str.__str__(value)

    return convert


def _unencodable(value: str, encoding: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        return SURROGATE
    return f"holds a character that the client's encoding ({encoding}) does not have"


def check_texts(encoding: str) -> Callable[[Sequence[str | None]], None]:
    """Make a check of a whole column of text in one call: no NUL, no character outside the encoding."""

    def check(column: Sequence[str | None]) -> None:
        joined = "".join(filter(None, column))
        if "\0" in joined:
            raise InvalidValue(NUL)
        if not joined.isascii():
            try:
                joined.encode(encoding)
            except UnicodeEncodeError:
                raise InvalidValue(SURROGATE) from None

    return check


def lower_text(encoding: str) -> Callable[[Any], str]:
    """Make a converter for text in lower case."""
    plain = text(encoding)

    def convert(value: Any) -> str:
        return plain(value).lower()

    return convert


def uuid(value: Any) -> bytes:
    """Convert a UUID or its text to 16 bytes."""
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, str) or type(value).__name__ == "UUID":
        try:
            return UUID(str(value)).bytes
        except ValueError:
            raise InvalidValue("is no UUID") from None
    raise wrong_type("UUID", value)


def integer(bits: int) -> Callable[[Any], int]:
    """Make a converter for signed integers of `bits` bits; text is parsed."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def convert(value: Any) -> int:
        if type(value) is not int:
            value = _whole(value)
        if not low <= value <= high:
            raise InvalidValue(f"lies outside {low} to {high}")
        return int(value)

    return convert


def _whole(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise InvalidValue("is no whole number") from None
    if isinstance(value, bool):
        raise wrong_type("whole number", value)
    try:
        return operator.index(value)
    except TypeError:
        raise wrong_type("whole number", value) from None


def boolean(value: Any) -> bool:
    """Return True or False; other truthy or falsy values are rejected."""
    if isinstance(value, bool):
        return value
    raise wrong_type("True or False", value)


def timestamptz(value: Any) -> int:
    """Convert a datetime with a time zone, ISO 8601, 'infinity' or '-infinity' to microseconds since 2000."""
    if isinstance(value, str):
        value = _from_iso(DateTime, value, 64)
        if isinstance(value, int):
            return value
    if not isinstance(value, DateTime):
        raise wrong_type("datetime", value)
    # The database would use the time zone of the session, so the same file would mean different times elsewhere.
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidValue("has no time zone")
    return _microseconds(value, _DATETIME_EPOCH)


def timestamp(value: Any) -> int:
    """Convert a datetime without a time zone to microseconds since 2000."""
    if isinstance(value, str):
        value = _from_iso(DateTime, value, 64)
        if isinstance(value, int):
            return value
    if not isinstance(value, DateTime):
        raise wrong_type("datetime", value)
    if value.tzinfo is not None:
        raise InvalidValue("has a time zone, and the column has none")
    return _microseconds(value, _NAIVE_EPOCH)


def _microseconds(value: DateTime, epoch: DateTime) -> int:
    delta = value - epoch
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def date(value: Any) -> int:
    """Convert a date, ISO 8601, 'infinity' or '-infinity' to days since 2000."""
    if isinstance(value, str):
        value = _from_iso(Date, value, 32)
        if isinstance(value, int):
            return value
    if not isinstance(value, Date) or isinstance(value, DateTime):
        raise wrong_type("date", value)
    return value.toordinal() - _DATE_EPOCH


def _from_iso(kind: type[DateTime] | type[Date], value: str, bits: int) -> Any:
    if sign := _INFINITY.get(value):
        return (1 << (bits - 1)) - 1 if sign > 0 else -(1 << (bits - 1))
    try:
        return kind.fromisoformat(value)
    except ValueError:
        raise InvalidValue("is no date or time in ISO 8601") from None


def float8(value: Any) -> float:
    """Convert a number or its text to double precision."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise wrong_type("number", value)
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise InvalidValue("is no number in double precision") from None


def float4(value: Any) -> bytes:
    """Convert a number or its text to single precision, as 4 bytes."""
    try:
        return _FLOAT4.pack(float8(value))
    except OverflowError:
        raise InvalidValue("is too large for single precision") from None


def numeric(value: Any) -> Decimal:
    """Convert a number or its text to a Decimal; a float by its shortest decimal form (`repr`)."""
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise wrong_type("number", value)
    try:
        exact = (
            value
            if isinstance(value, Decimal)
            else Decimal(repr(value) if isinstance(value, float) else value)
        )
    except (InvalidOperation, ValueError):
        raise InvalidValue("is no number") from None
    # psycopg would encode more digits than PostgreSQL supports as another number.
    if exact.is_finite() and not -16_000 <= exact.adjusted() < 131_072:
        raise InvalidValue("has more digits than PostgreSQL keeps")
    return exact


def binary(value: Any) -> bytes:
    """Convert a bytes-like object to bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wrong_type("bytes", value)


def inet(value: Any) -> bytes:
    """Convert an IP address, with or without a prefix length."""
    if not isinstance(value, str) and not hasattr(
        value, "version"
    ):  # Python would read an integer as an address
        raise wrong_type("IP address", value)
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise InvalidValue("is no IP address") from None
    if "%" in str(value):
        raise InvalidValue("names a zone, which PostgreSQL does not keep")
    return _address(interface.ip, interface.network.prefixlen, is_network=False)


def cidr(value: Any) -> bytes:
    """Convert an IP network."""
    if not isinstance(value, str) and not hasattr(value, "version"):
        raise wrong_type("network", value)
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise InvalidValue("is no network, or has bits set beyond its length") from None
    if "%" in str(value):
        raise InvalidValue("names a zone, which PostgreSQL does not keep")
    return _address(network.network_address, network.prefixlen, is_network=True)


def _address(address: Any, length: int, *, is_network: bool) -> bytes:
    packed: bytes = address.packed
    return struct.pack("4B", 2 if address.version == 4 else 3, length, is_network, len(packed)) + packed


def place(value: Any) -> bytes:
    """Convert a geographic point to EWKB; see `dbschema.orm.geography.as_point` for the input formats."""
    if type(value) is tuple or type(value) is GeoPoint:
        try:
            longitude, latitude = value
        except ValueError:
            longitude = latitude = None
        # Comparisons with NaN are false. `as_point` checks all other input.
        if (
            type(longitude) is float
            and type(latitude) is float
            and -180 <= longitude <= 180
            and -90 <= latitude <= 90
        ):
            return _EWKB_POINT.pack(1, _EWKB_KIND, WGS84, longitude, latitude)
    try:
        point = as_point(value)
    except (ValueError, TypeError, OverflowError):
        raise InvalidValue(
            "is no place: longitude -180 to 180 and latitude -90 to 90 as a pair, GeoJSON, WKT or a geometry"
        ) from None
    return _EWKB_POINT.pack(1, _EWKB_KIND, WGS84, *point)
