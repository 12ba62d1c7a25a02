"""Encoders: one for each column, selected by the model's type and the database's type, applied to whole columns.

PostgreSQL's binary COPY format carries no types, so a value must have exactly the format of its column. psycopg encodes
plain values in C; the encoders here convert other values to such a value or to bytes. An unknown type is sent in
psycopg's text format, and the database parses it (`general`). JSON that PostgreSQL would reject is rejected here.
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
from dbschema.loading.values import NUL, SURROGATE, InvalidValue, wrong_type
from dbschema.orm.geography import GeographyPoint
from dbschema.orm.types import CheckedText, JsonShape, LowerText, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncConnection, Connection
    from sqlalchemy import Column, Dialect

    from dbschema.loading.target import TargetColumn


_WIDE = frozenset({"utf-8", "utf8"})
# After an odd number of backslashes the escape is itself escaped.
_JSON_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_JSON_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def json(
    serializer: Callable[[Any], str] | None, encoding: str, *, version: bytes
) -> Callable[[Any], bytes | None]:
    """Make an encoder for JSON documents; it returns None for SQL's NULL.

    Args:
        serializer: the engine's `json_serializer`; None: the standard one.
        encoding: the client's encoding.
        version: the prefix of the binary format of JSONB; empty for JSON.
    """
    # NaN is not valid JSON, and PostgreSQL rejects it.
    write = (
        serializer
        or JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    )

    def encode(value: Any) -> bytes | None:
        if isinstance(value, ClauseElement):
            if value.compare(null()):
                return None
            raise wrong_type("JSON", value)
        if value is JSON.NULL:
            value = None
        try:
            document = write(value).encode(encoding)
        except UnicodeEncodeError:
            raise InvalidValue(SURROGATE) from None
        except RecursionError:
            raise InvalidValue("is nested too deeply, or holds itself") from None
        except (TypeError, ValueError):
            raise InvalidValue("cannot be written as JSON") from None
        if b"\\u" in document:
            if _JSON_NUL.search(document):
                raise InvalidValue(NUL)
            if _JSON_SURROGATE.search(document) and _has_lone_surrogate(document.decode(encoding)):
                raise InvalidValue(SURROGATE)
        return version + document

    return encode


def document_encoder(
    encoding: str, *, version: bytes, none_is_data: bool
) -> Callable[[Sequence[Any]], Sequence[bytes]]:
    """Make an encoder that serializes a whole column in one call, in a third of the time of `json`.

    It raises if a document needs the checks of `json`.

    Args:
        encoding, version: see `json`.
        none_is_data: encode None as JSON's null.
    """
    write = JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    mark = uuid4().hex  # random, so that no document contains it
    between = f',"{mark}",'.encode()
    plain = {dict, list, str, int, float, bool} | ({type(None)} if none_is_data else set())

    def quick(column: Sequence[Any]) -> Sequence[bytes]:
        marked: list[Any] = [mark] * (2 * len(column) - 1)
        marked[::2] = column
        if not plain.issuperset(map(type, column)) or b"\\u" in (whole := write(marked).encode(encoding)):
            raise InvalidValue("needs the checks of a single document")
        documents = whole[1:-1].split(between)
        if len(documents) != len(column):
            raise InvalidValue("needs the checks of a single document")
        return [version + document for document in documents]

    return quick


def _has_lone_surrogate(document: str) -> bool:
    """Whether the escapes in a document include a lone surrogate; pairs are valid."""
    try:
        JSONEncoder(ensure_ascii=False).encode(loads(document)).encode()
    except UnicodeEncodeError:
        return True
    return False


_NOTHING = type(None)
_TEXTS = frozenset({"text", "varchar", "bpchar"})


@dataclass(frozen=True)
class Encoder:
    """The encoding of a column.

    Args:
        wire: the type by which psycopg writes the encoded values.
        encode: encodes a value other than None; raises `InvalidValue`.
        plain: exact types whose values are sent unchanged, after `check`.
        check: raises `InvalidValue` if a column of plain values has an invalid one.
        quick: encodes a whole column; raises any exception if `encode` must check each value.
        none_is_data: None is a value (JSON's null), not SQL's NULL.
        as_text: the column of the staging table is text, and the database parses it.
    """

    wire: str
    encode: Callable[[Any], Any]
    plain: frozenset[type] = frozenset()
    check: Callable[[Sequence[Any]], None] | None = None
    quick: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    none_is_data: bool = False
    as_text: bool = False

    def encode_column(self, column: Sequence[Any]) -> Sequence[Any]:
        """Encode a column, None included.

        Raises:
            InvalidValue: a value is not valid.
        """
        if self.quick is not None:
            try:
                return self.quick(column)
            except Exception:  # noqa: S110  any unforeseen value; `encode` gives the reason
                pass
        if self.plain:
            types = set(map(type, column))
            types.discard(_NOTHING)
            if types <= self.plain:
                if self.check is not None:
                    self.check(column)
                return column
        encode = self.encode
        if self.none_is_data:
            return [encode(value) for value in column]
        return [None if value is None else encode(value) for value in column]


@dataclass(frozen=True)
class Wire:
    """The connection that encoders write for.

    Args:
        raw: psycopg's connection.
        dialect: SQLAlchemy's dialect, with the application's JSON serializer.
        encoding: Python's name of the client's encoding.
    """

    raw: Connection[Any] | AsyncConnection[Any]
    dialect: Dialect
    encoding: str


def encoder_for(column: Column[Any], target: TargetColumn, wire: Wire) -> Encoder:
    """Select the encoder for values of a model's column, sent to a column of the database."""
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


# SQLAlchemy's types that pass values to the driver unchanged, and the database's types that they match.
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
    # In the binary format times are numbers: microseconds and days since 2000.
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
assert all(kind in _KINDS or kind in _TEXTS for _, kinds in _PLAIN for kind in kinds)  # noqa: S101  keeps the two tables consistent


def _closed_set(declared: CheckedText[Any]) -> Encoder:
    known: dict[Any, str | None] = {member.value: str(member.value) for member in declared.enum}
    allowed = ", ".join(member.value for member in declared.enum)

    def encode(value: Any) -> str:
        try:
            return str(declared.python_value(value).value)
        except (ValueError, TypeError):
            raise InvalidValue(f"is not one of {allowed}") from None

    look_up = {**known, None: None}.__getitem__
    return Encoder("text", encode, quick=lambda column: list(map(look_up, column)))


def _json(declared: Any, kind: str, wire: Wire) -> Encoder:
    serializer = json_serializer(wire.dialect)
    version = b"\x01" if kind == "jsonb" else b""
    encode = json(serializer, wire.encoding, version=version)
    # As in the ORM: None is JSON's null, unless the type maps it to SQL's NULL.
    as_null = getattr(getattr(declared, "impl_instance", declared), "none_as_null", False)
    quick = None
    if serializer is None:
        quick = document_encoder(wire.encoding, version=version, none_is_data=not as_null)
    return Encoder("bytea", encode, quick=quick, none_is_data=not as_null)


def general(column: Column[Any], wire: Wire) -> Encoder:
    """Make the encoder for an unknown type: the value that SQLAlchemy passes to the driver, in psycopg's text format."""
    processor = column.type.dialect_impl(wire.dialect).bind_processor(wire.dialect)
    transformer = Transformer(wire.raw)
    evaluate_none = bool(getattr(column.type, "should_evaluate_none", False))

    def encode(value: Any) -> bytes | None:
        try:
            bound = value if processor is None else processor(value)
            if bound is None:
                return None
            if isinstance(bound, str):
                written: Any = bound.encode(wire.encoding)
            else:
                written = transformer.get_dumper(bound, PyFormat.TEXT).dump(bound)
        except InvalidValue:
            raise
        except Exception as error:
            raise InvalidValue(f"is rejected by the type {column.type!r} ({type(error).__name__})") from None
        if written is None:
            return None
        data = bytes(written)
        if b"\0" in data:
            raise InvalidValue(values.NUL)
        return data

    return Encoder("bytea", encode, none_is_data=evaluate_none, as_text=True)
