"""JSON documents, as PostgreSQL takes them: what it would refuse is refused before it is sent.

How the values of a column are sent: chosen once, by the model's type and the database's, and then applied to whole columns.

The wire is PostgreSQL's binary format, which carries no types: what is sent has to be exactly what the column takes.
psycopg packs plain values in C; all else is turned here into such a value, or into the bytes themselves. A type that is
not known here goes as text, in psycopg's own words, and the database reads it (`general`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from json import JSONEncoder, loads
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg.adapt import PyFormat, Transformer
from sqlalchemy import JSON, ClauseElement, null
from sqlalchemy import types as sa
from sqlalchemy.dialects import postgresql as pg

from dbschema._sqlalchemy import json_serializer
from dbschema.loading import values
from dbschema.loading.values import NUL, SURROGATE, Refused, wanted
from dbschema.orm.geography import GeographyPoint
from dbschema.orm.types import CheckedText, JsonShape, LowerText, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncConnection, Connection
    from sqlalchemy import Column, Dialect

    from dbschema.loading.target import TargetColumn


_WIDE = frozenset({"utf-8", "utf8"})
# An even number of backslashes before it, or it is itself escaped.
_JSON_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_JSON_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def json(
    serializer: Callable[[Any], str] | None, encoding: str, *, version: bytes
) -> Callable[[Any], bytes | None]:
    """A JSON document, by the application's serializer if it has one.

    Args:
        serializer: the engine's `json_serializer`.
        encoding: the client's encoding.
        version: what JSONB has before the document.
    """
    # NaN is no JSON, and PostgreSQL refuses it.
    write = (
        serializer
        or JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    )

    def one(value: Any) -> bytes | None:
        if isinstance(value, ClauseElement):
            if value.compare(null()):
                return None
            raise wanted("JSON", value)
        if value is JSON.NULL:
            value = None
        try:
            document = write(value).encode(encoding)
        except UnicodeEncodeError:
            raise Refused(SURROGATE) from None
        except RecursionError:
            raise Refused("is nested too deeply, or holds itself") from None
        except (TypeError, ValueError):
            raise Refused("cannot be written as JSON") from None
        if b"\\u" in document:
            if _JSON_NUL.search(document):
                raise Refused(NUL)
            if _JSON_SURROGATE.search(document) and _has_half_a_pair(document.decode(encoding)):
                raise Refused(SURROGATE)
        return version + document

    return one


def document_encoder(
    encoding: str, *, version: bytes, none_is_data: bool
) -> Callable[[Sequence[Any]], Sequence[bytes]]:
    """A whole column in one call, which takes a third of the time; raises where `json` has to look at the documents.

    Args:
        encoding, version: as `json`.
        none_is_data: None is JSON's null.
    """
    write = JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    mark = uuid4().hex  # which no document holds, since nobody knows it before
    between = f',"{mark}",'.encode()
    plain = {dict, list, str, int, float, bool} | ({type(None)} if none_is_data else set())

    def quick(column: Sequence[Any]) -> Sequence[bytes]:
        marked: list[Any] = [mark] * (2 * len(column) - 1)
        marked[::2] = column
        if not plain.issuperset(map(type, column)) or b"\\u" in (whole := write(marked).encode(encoding)):
            raise Refused("needs a closer look")
        found = whole[1:-1].split(between)
        if len(found) != len(column):
            raise Refused("needs a closer look")
        return [version + document for document in found]

    return quick


def _has_half_a_pair(document: str) -> bool:
    """Whether escapes in a document, which may also be whole pairs, stand for half of one."""
    try:
        JSONEncoder(ensure_ascii=False).encode(loads(document)).encode()
    except UnicodeEncodeError:
        return True
    return False


_NOTHING = type(None)
_TEXTS = frozenset({"text", "varchar", "bpchar"})


@dataclass(frozen=True)
class Encoder:
    """How a column is sent.

    Args:
        wire: the type by which psycopg packs the encoded values.
        one: encodes a value that is not None; raises `Refused`.
        plain: exact types whose values are sent as they are …
        check: … when this raises nothing for all of them.
        quick: encodes a whole column, or raises anything where `one` has to look closer.
        none_is_data: None is a value, JSON's null, and not NULL.
        as_text: the staged column is text, and the database reads it.
    """

    wire: str
    one: Callable[[Any], Any]
    plain: frozenset[type] = frozenset()
    check: Callable[[Sequence[Any]], None] | None = None
    quick: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    none_is_data: bool = False
    as_text: bool = False

    def many(self, column: Sequence[Any]) -> Sequence[Any]:
        """Encode a column, None included; raises what `one` raises."""
        if self.quick is not None:
            try:
                return self.quick(column)
            except Exception:  # noqa: S110  values nobody foresaw; the slow way gives the reason
                pass
        if self.plain:
            types = set(map(type, column))
            types.discard(_NOTHING)
            if types <= self.plain:
                if self.check is not None:
                    self.check(column)
                return column
        one = self.one
        if self.none_is_data:
            return [one(value) for value in column]
        return [None if value is None else one(value) for value in column]


@dataclass(frozen=True)
class Wire:
    """The connection that values are sent over.

    Args:
        raw: psycopg's connection.
        dialect: SQLAlchemy's dialect, with the application's JSON serializer.
        encoding: the client's encoding, by Python's name.
    """

    raw: Connection[Any] | AsyncConnection[Any]
    dialect: Dialect
    encoding: str


def encoder_for(column: Column[Any], target: TargetColumn, wire: Wire) -> Encoder:
    """The way to send values of a model's column to a column of the database."""
    kind, declared = target.kind, column.type
    family = type(declared)
    if isinstance(declared, GeographyPoint):
        return Encoder("bytea", values.place) if kind == "geography" else general(column, wire)
    if isinstance(declared, CheckedText) and kind in _TEXTS:
        return _closed_set(declared)
    if family is LowerText and kind in _TEXTS:
        return Encoder("text", values.lower_text(wire.encoding))
    if kind in {"json", "jsonb"} and family in {JsonShape, sa.JSON, pg.JSON, pg.JSONB}:
        return _json(declared, kind, wire)
    for families, kinds in _PLAIN:
        if kind in kinds and family in families:
            return _of_kind(kind, wire)
    return general(column, wire)


# Types of SQLAlchemy that hand values to the driver as they are, and the types of the database that they fit.
_PLAIN: tuple[tuple[frozenset[type], frozenset[str]], ...] = (
    (
        frozenset({Pattern, sa.String, sa.Text, sa.VARCHAR, sa.TEXT, sa.CHAR, sa.Unicode, sa.UnicodeText}),
        _TEXTS,
    ),
    (frozenset({sa.Uuid, sa.UUID, pg.UUID}), frozenset({"uuid"})),
    (
        frozenset({sa.Integer, sa.SmallInteger, sa.BigInteger, sa.INTEGER, sa.SMALLINT, sa.BIGINT}),
        frozenset({"int2", "int4", "int8"}),
    ),
    (frozenset({sa.Boolean, sa.BOOLEAN}), frozenset({"bool"})),
    (
        frozenset({sa.DateTime, sa.TIMESTAMP, pg.TIMESTAMP}),
        frozenset({"timestamptz", "timestamp"}),
    ),
    (frozenset({sa.Date, sa.DATE}), frozenset({"date"})),
    (
        frozenset({sa.Float, sa.FLOAT, sa.REAL, sa.Double, sa.DOUBLE, sa.DOUBLE_PRECISION}),
        frozenset({"float4", "float8"}),
    ),
    (frozenset({sa.Numeric, sa.NUMERIC, sa.DECIMAL}), frozenset({"numeric"})),
    (frozenset({sa.LargeBinary, pg.BYTEA}), frozenset({"bytea"})),
    (frozenset({pg.INET}), frozenset({"inet"})),
    (frozenset({pg.CIDR}), frozenset({"cidr"})),
)


def _of_kind(kind: str, wire: Wire) -> Encoder:
    if kind in _TEXTS:
        return Encoder(
            "text", values.text(wire.encoding), frozenset({str}), values.check_texts(wire.encoding)
        )
    return _KINDS[kind]


_KINDS: dict[str, Encoder] = {
    "uuid": Encoder("bytea", values.uuid),
    "int2": Encoder("int2", values.integer(16)),
    "int4": Encoder("int4", values.integer(32)),
    "int8": Encoder("int8", values.integer(64)),
    "bool": Encoder("bool", values.boolean, frozenset({bool})),
    # Times are numbers on the wire: microseconds and days since 2000.
    "timestamptz": Encoder("int8", values.timestamptz),
    "timestamp": Encoder("int8", values.timestamp),
    "date": Encoder("int4", values.date),
    "float8": Encoder("float8", values.float8, frozenset({float})),
    "float4": Encoder("bytea", values.float4),
    "numeric": Encoder("numeric", values.numeric),
    "bytea": Encoder("bytea", values.binary, frozenset({bytes})),
    "inet": Encoder("bytea", values.inet),
    "cidr": Encoder("bytea", values.cidr),
}
assert all(kind in _KINDS or kind in _TEXTS for _, kinds in _PLAIN for kind in kinds)  # noqa: S101  tables that belong together


def _closed_set(declared: CheckedText[Any]) -> Encoder:
    known: dict[Any, str | None] = {member.value: str(member.value) for member in declared.enum}
    allowed = ", ".join(member.value for member in declared.enum)

    def one(value: Any) -> str:
        try:
            return str(declared.python_value(value).value)
        except (ValueError, TypeError):
            raise Refused(f"is none of {allowed}") from None

    look_up = {**known, None: None}.__getitem__
    return Encoder("text", one, quick=lambda column: list(map(look_up, column)))


def _json(declared: Any, kind: str, wire: Wire) -> Encoder:
    serializer = json_serializer(wire.dialect)
    version = b"\x01" if kind == "jsonb" else b""
    one = json(serializer, wire.encoding, version=version)
    # As the ORM: None is JSON's null, unless the type says that it is SQL's.
    as_null = getattr(getattr(declared, "impl_instance", declared), "none_as_null", False)
    quick = None
    if serializer is None:
        quick = document_encoder(wire.encoding, version=version, none_is_data=not as_null)
    return Encoder("bytea", one, quick=quick, none_is_data=not as_null)


def general(column: Column[Any], wire: Wire) -> Encoder:
    """A type that is not known here: what SQLAlchemy's type hands to the driver, as psycopg writes it in text."""
    processor = column.type.dialect_impl(wire.dialect).bind_processor(wire.dialect)
    transformer = Transformer(wire.raw)
    evaluate_none = bool(getattr(column.type, "should_evaluate_none", False))

    def one(value: Any) -> bytes | None:
        try:
            bound = value if processor is None else processor(value)
            if bound is None:
                return None
            if isinstance(bound, str):
                written: Any = bound.encode(wire.encoding)
            else:
                written = transformer.get_dumper(bound, PyFormat.TEXT).dump(bound)
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"is refused by the type {column.type!r} ({type(error).__name__})") from None
        if written is None:
            return None
        data = bytes(written)
        if b"\0" in data:
            raise Refused(values.NUL)
        return data

    return Encoder("bytea", one, none_is_data=evaluate_none, as_text=True)
