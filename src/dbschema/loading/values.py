"""Values one by one: from what an application holds to what PostgreSQL's binary format carries.

Each function raises `Refused` with a reason that does not quote the value: errors are logged, and rows hold what belongs
to people.
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

NUL = "holds the character NUL, which PostgreSQL's text cannot"
SURROGATE = "holds half of a surrogate pair, which is no character"
_DATETIME_EPOCH = DateTime(2000, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = DateTime(2000, 1, 1)  # noqa: DTZ001  timestamp without time zone
_DATE_EPOCH = Date(2000, 1, 1).toordinal()
_INFINITY = {"infinity": 1, "-infinity": -1}
_EWKB_POINT = struct.Struct("<BIIdd")
_EWKB_KIND = 0x20000001  # a point that names its SRID
_FLOAT4 = struct.Struct(">f")


class Refused(ValueError):
    """A value that the column cannot take; the message is the reason."""


def wanted(what: str, value: Any) -> Refused:
    """Return the error for a value that is not of the expected kind."""
    if isinstance(value, ClauseElement) or hasattr(value, "__clause_element__"):
        return Refused("is an SQL expression, and rows bring data")
    return Refused(f"is no {what} but of type {type(value).__name__}")


def text(encoding: str) -> Callable[[Any], str]:
    """Text as the client's encoding can carry it."""

    def one(value: Any) -> str:
        if not isinstance(value, str):
            raise wanted("text", value)
        if "\0" in value:
            raise Refused(NUL)
        if not value.isascii():
            try:
                value.encode(encoding)
            except UnicodeEncodeError:
                raise Refused(_unencodable(value, encoding)) from None
        return str.__str__(value)

    return one


def _unencodable(value: str, encoding: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        return SURROGATE
    return f"holds a character that the client's encoding ({encoding}) has not"


def check_texts(encoding: str) -> Callable[[Sequence[str | None]], None]:
    """The same for a whole column at once."""

    def check(column: Sequence[str | None]) -> None:
        joined = "".join(filter(None, column))
        if "\0" in joined:
            raise Refused(NUL)
        if not joined.isascii():
            try:
                joined.encode(encoding)
            except UnicodeEncodeError:
                raise Refused(SURROGATE) from None

    return check


def lower_text(encoding: str) -> Callable[[Any], str]:
    """Text in lower case."""
    plain = text(encoding)

    def one(value: Any) -> str:
        return plain(value).lower()

    return one


def uuid(value: Any) -> bytes:
    """A UUID, or its text."""
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, str) or type(value).__name__ == "UUID":
        try:
            return UUID(str(value)).bytes
        except ValueError:
            raise Refused("is no UUID") from None
    raise wanted("UUID", value)


def integer(bits: int) -> Callable[[Any], int]:
    """A whole number, or its text, that fits into so many bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def one(value: Any) -> int:
        if type(value) is not int:
            value = _whole(value)
        if not low <= value <= high:
            raise Refused(f"lies outside {low} to {high}")
        return int(value)

    return one


def _whole(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise Refused("is no whole number") from None
    if isinstance(value, bool):
        raise wanted("whole number", value)
    try:
        return operator.index(value)
    except TypeError:
        raise wanted("whole number", value) from None


def boolean(value: Any) -> bool:
    """True or False, and nothing that only behaves like it."""
    if isinstance(value, bool):
        return value
    raise wanted("True or False", value)


def timestamptz(value: Any) -> int:
    """A moment, as microseconds since 2000: a datetime with its time zone, ISO 8601, 'infinity' or '-infinity'."""
    if isinstance(value, str):
        value = _from_iso(DateTime, value, 64)
        if isinstance(value, int):
            return value
    if not isinstance(value, DateTime):
        raise wanted("datetime", value)
    # Without one the database would take the session's, and the same file would mean other moments elsewhere.
    if value.tzinfo is None or value.utcoffset() is None:
        raise Refused("has no time zone")
    return _microseconds(value, _DATETIME_EPOCH)


def timestamp(value: Any) -> int:
    """A time of day and year without a zone, as microseconds since 2000."""
    if isinstance(value, str):
        value = _from_iso(DateTime, value, 64)
        if isinstance(value, int):
            return value
    if not isinstance(value, DateTime):
        raise wanted("datetime", value)
    if value.tzinfo is not None:
        raise Refused("has a time zone, and the column has none")
    return _microseconds(value, _NAIVE_EPOCH)


def _microseconds(value: DateTime, epoch: DateTime) -> int:
    delta = value - epoch
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def date(value: Any) -> int:
    """A day, as days since 2000: a date, ISO 8601, 'infinity' or '-infinity'."""
    if isinstance(value, str):
        value = _from_iso(Date, value, 32)
        if isinstance(value, int):
            return value
    if not isinstance(value, Date) or isinstance(value, DateTime):
        raise wanted("date", value)
    return value.toordinal() - _DATE_EPOCH


def _from_iso(kind: type[DateTime] | type[Date], value: str, bits: int) -> Any:
    if sign := _INFINITY.get(value):
        return (1 << (bits - 1)) - 1 if sign > 0 else -(1 << (bits - 1))
    try:
        return kind.fromisoformat(value)
    except ValueError:
        raise Refused("is no date or time in ISO 8601") from None


def float8(value: Any) -> float:
    """A number in double precision."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise wanted("number", value)
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise Refused("is no number in double precision") from None


def float4(value: Any) -> bytes:
    """A number in single precision, packed."""
    try:
        return _FLOAT4.pack(float8(value))
    except OverflowError:
        raise Refused("is too large for single precision") from None


def numeric(value: Any) -> Decimal:
    """An exact number; a float counts as what it prints."""
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise wanted("number", value)
    try:
        exact = (
            value
            if isinstance(value, Decimal)
            else Decimal(repr(value) if isinstance(value, float) else value)
        )
    except (InvalidOperation, ValueError):
        raise Refused("is no number") from None
    # Further digits than PostgreSQL has would be packed into something else.
    if exact.is_finite() and not -16_000 <= exact.adjusted() < 131_072:
        raise Refused("has more digits than PostgreSQL keeps")
    return exact


def binary(value: Any) -> bytes:
    """Bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wanted("bytes", value)


def inet(value: Any) -> bytes:
    """An address, with or without the length of its network."""
    if not isinstance(value, str) and not hasattr(value, "version"):  # a number is an address to Python
        raise wanted("address of the Internet", value)
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise Refused("is no address of the Internet") from None
    if "%" in str(value):
        raise Refused("names a zone, which PostgreSQL does not keep")
    return _address(interface.ip, interface.network.prefixlen, is_network=False)


def cidr(value: Any) -> bytes:
    """A network."""
    if not isinstance(value, str) and not hasattr(value, "version"):
        raise wanted("network", value)
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise Refused("is no network, or has bits set beyond its length") from None
    if "%" in str(value):
        raise Refused("names a zone, which PostgreSQL does not keep")
    return _address(network.network_address, network.prefixlen, is_network=True)


def _address(address: Any, length: int, *, is_network: bool) -> bytes:
    packed: bytes = address.packed
    return struct.pack("4B", 2 if address.version == 4 else 3, length, is_network, len(packed)) + packed


def place(value: Any) -> bytes:
    """A place in EWKB; see `dbschema.orm.geography.as_point`."""
    if type(value) is tuple or type(value) is GeoPoint:
        try:
            longitude, latitude = value
        except ValueError:
            longitude = latitude = None
        # Comparisons with NaN are false; what is not two floats on Earth is read with care below.
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
        raise Refused(
            "is no place: longitude -180 to 180 and latitude -90 to 90 as a pair, GeoJSON, WKT or a geometry"
        ) from None
    return _EWKB_POINT.pack(1, _EWKB_KIND, WGS84, *point)
