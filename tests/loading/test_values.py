"""What is loaded is what the ORM reads back, for any value that a column takes."""

from __future__ import annotations

import enum
import json
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Uuid,
    create_engine,
    func,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, INT4RANGE, JSONB, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from dbschema import bulk_load, geography_point
from dbschema.loading import BadRows
from dbschema.loading.errors import WrongCall
from dbschema.models import GeoPoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class Reversed(TypeDecorator[str]):
    """A type of an application's own."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value[::-1]

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value[::-1]


class InTheDatabase(TypeDecorator[str]):
    """A type that the database transforms on the way in and out, as encryption would."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return func.textcat("50%:", bindvalue)

    def column_expression(self, column: Any) -> Any:
        return func.substr(column, 5)


class OwnBase(DeclarativeBase):
    """Of an application that does not use this library's base."""


class Everything(OwnBase):
    __tablename__ = "everything"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    small: Mapped[Any] = mapped_column(SmallInteger, nullable=True)
    whole: Mapped[Any] = mapped_column(Integer, nullable=True)
    big: Mapped[Any] = mapped_column(BigInteger, nullable=True)
    flag: Mapped[Any] = mapped_column(Boolean, nullable=True)
    words: Mapped[Any] = mapped_column(Text, nullable=True)
    short: Mapped[Any] = mapped_column(String(5), nullable=True)
    moment: Mapped[Any] = mapped_column(DateTime(timezone=True), nullable=True)
    local: Mapped[Any] = mapped_column(DateTime, nullable=True)
    day: Mapped[Any] = mapped_column(Date, nullable=True)
    clock: Mapped[Any] = mapped_column(Time, nullable=True)
    span: Mapped[Any] = mapped_column(Interval, nullable=True)
    exact: Mapped[Any] = mapped_column(Numeric, nullable=True)
    double: Mapped[Any] = mapped_column(Double, nullable=True)
    single: Mapped[Any] = mapped_column(Float(24), nullable=True)
    raw: Mapped[Any] = mapped_column(LargeBinary, nullable=True)
    key: Mapped[Any] = mapped_column(Uuid, nullable=True)
    document: Mapped[Any] = mapped_column(JSONB, nullable=True)
    plain_json: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    place: Mapped[GeoPoint | None] = geography_point()
    address: Mapped[Any] = mapped_column(INET, nullable=True)
    network: Mapped[Any] = mapped_column(CIDR, nullable=True)
    texts: Mapped[Any] = mapped_column(ARRAY(Text), nullable=True)
    numbers: Mapped[Any] = mapped_column(ARRAY(Integer), nullable=True)
    range: Mapped[Any] = mapped_column(INT4RANGE, nullable=True)
    colour: Mapped[Any] = mapped_column(Enum(Colour, name="colour"), nullable=True)
    backwards: Mapped[Any] = mapped_column(Reversed, nullable=True)
    wrapped: Mapped[Any] = mapped_column(InTheDatabase, nullable=True)
    doubled: Mapped[Any] = mapped_column(Integer, Computed("whole / 2 * 2", persisted=True), nullable=True)


@pytest.fixture(scope="module")
def own_engine(shared_engine: Engine) -> Iterator[Engine]:
    """The same database with a table of every type."""
    engine = create_engine(shared_engine.url)
    OwnBase.metadata.create_all(engine)
    yield engine
    OwnBase.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def own(own_engine: Engine) -> Iterator[Session]:
    with Session(own_engine) as session:
        yield session


many = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
zones = st.timezones() | st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439)
)
longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "flag": st.booleans(),
    "words": texts,
    "short": st.text(characters, max_size=5),
    "moment": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones),  # noqa: DTZ001
    "local": st.datetimes(),
    "day": st.dates(),
    "clock": st.times(),
    "span": st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999)),
    "exact": st.decimals(-(10**30), 10**30),
    "double": st.floats(allow_nan=False),
    "single": st.floats(allow_nan=False, width=32),
    "raw": st.binary(),
    "key": st.uuids(),
    "document": documents,
    "plain_json": documents.filter(lambda value: value is not None),
    "place": st.builds(GeoPoint, longitudes, latitudes),
    "address": st.ip_addresses(),
    "network": st.builds(
        lambda address, length: ip_network(f"{address}/{length}", strict=False),
        st.ip_addresses(),
        st.integers(0, 32),
    ),
    "texts": st.lists(st.none() | texts, max_size=5),
    "numbers": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
    "range": st.builds(
        lambda low, size: Range(low, low + size + 1), st.integers(-1000, 1000), st.integers(0, 99)
    ),
    "colour": st.sampled_from(Colour),
    "backwards": texts,
    "wrapped": texts,
}
rows = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in COLUMNS.items()})


def comparable(name: str, value: Any) -> Any:
    """Return a value that can be compared with `==`.

    PostgreSQL shows a number in single precision with as few digits as single precision needs. Python never finds a
    time that the clocks of its zone skip or repeat equal to a time of another zone (PEP 495).
    """
    if value is None:
        return None
    if name == "moment":
        return value.astimezone(UTC)
    return struct.pack("f", value) if name == "single" else value


@many
@given(st.lists(rows, min_size=1, max_size=12), st.integers(1, 5))
def test_any_mixture_of_rows_comes_back_as_it_went(own: Session, given_rows: Any, block: int) -> None:
    own.rollback()  # what an example before this one may have left when it failed

    bulk_load(own, Everything, given_rows, block=block)

    found = own.scalars(select(Everything).order_by(Everything.id)).all()
    assert len(found) == len(given_rows)
    for row, instance in zip(given_rows, found, strict=True):
        for name in COLUMNS:
            assert comparable(name, getattr(instance, name)) == comparable(name, row.get(name)), name
        whole = row.get("whole")
        assert instance.doubled == (None if whole is None else int(whole / 2) * 2)


@many
@given(st.lists(rows, min_size=1, max_size=4))
def test_the_database_holds_what_the_orm_would_have_written(own: Session, given_rows: Any) -> None:
    """To the last bit, JSON's null and SQL's included."""
    as_text = text(
        "SELECT (to_jsonb(e) - 'id')::text, document IS NULL, place::bytea FROM everything e ORDER BY id"
    )
    own.rollback()
    for row in given_rows:
        own.add(Everything(**row))
        own.flush()
    by_orm = own.execute(as_text).all()
    own.rollback()

    bulk_load(own, Everything, given_rows)

    assert own.execute(as_text).all() == by_orm


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("moment", "2026-11-20T12:00:00+01:00", datetime(2026, 11, 20, 11, tzinfo=UTC)),
        ("local", "2026-11-20T12:00:00", datetime(2026, 11, 20, 12)),  # noqa: DTZ001
        ("day", "2026-11-20", date(2026, 11, 20)),
        ("whole", "-7", -7),
        ("exact", "1.50", Decimal("1.50")),
        ("exact", 0.1, Decimal("0.1")),
        ("exact", 3, Decimal(3)),
        ("double", 3, 3.0),
        ("double", Decimal("0.5"), 0.5),
        ("key", "018f0000-0000-7000-8000-00000000000a", UUID("018f0000-0000-7000-8000-00000000000a")),
        ("place", {"longitude": 7, "latitude": 46}, GeoPoint(7, 46)),
        ("place", "POINT(7 46)", GeoPoint(7, 46)),
        ("place", [7, 46], GeoPoint(7, 46)),
        ("place", {"type": "Point", "coordinates": [7, 46]}, GeoPoint(7, 46)),
        ("address", "10.0.0.1", IPv4Address("10.0.0.1")),
        ("address", "::1", IPv6Address("::1")),
        ("address", ip_interface("10.0.0.1/8"), ip_interface("10.0.0.1/8")),
        ("network", "10.0.0.0/8", ip_network("10.0.0.0/8")),
        ("raw", bytearray(b"ab"), b"ab"),
        ("raw", memoryview(b"ab"), b"ab"),
        ("clock", "12:30", time(12, 30)),
        ("document", JSON.NULL, None),
        ("document", null(), None),
        ("document", "text", "text"),
        ("document", {"k": "\\u0000 is only text"}, {"k": "\\u0000 is only text"}),
        ("words", Colour("r").value, "r"),
    ],
)  # fmt: skip
def test_a_value_is_taken_in_the_forms_that_applications_hold(
    own: Session, column: str, value: Any, stored: Any
) -> None:
    bulk_load(own, Everything, [{column: value}, {}])

    assert getattr(own.scalars(select(Everything).order_by(Everything.id)).first(), column) == stored


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("moment", "infinity", "infinity"),
        ("moment", "-infinity", "-infinity"),
        ("local", "infinity", "infinity"),
        ("day", "-infinity", "-infinity"),
        ("exact", Decimal("NaN"), "NaN"),
        ("exact", Decimal("-Infinity"), "-Infinity"),
        ("double", float("inf"), "Infinity"),
        ("double", float("nan"), "NaN"),
        ("single", float("-inf"), "-Infinity"),
        ("exact", Decimal("1E-16000"), "0." + "0" * 15_999 + "1"),
        ("exact", Decimal("1E+131071"), "1" + "0" * 131_071),
    ],
)  # fmt: skip
def test_what_python_has_no_value_for_is_stored(own: Session, column: str, value: Any, shown: str) -> None:
    bulk_load(own, Everything, [{column: value}])

    assert own.scalar(text(f"SELECT {column}::text FROM everything")) == shown


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("short", "123456"),
        ("big", 2**63),
        ("single", 1e39),
        ("double", 10**400),
        ("double", True),
        ("exact", Decimal("1E+131072")),
        ("exact", Decimal("1E-20000")),
        ("exact", "x"),
        ("flag", 1),
        ("flag", "true"),
        ("raw", "text"),
        ("address", 5),
        ("address", "10.0.0.300"),
        ("address", ip_address("fe80::1%eth0")),
        ("network", "10.0.0.1/8"),
        ("texts", ["a\0"]),
        ("texts", ["\ud800"]),
        ("numbers", ["x"]),
        ("numbers", 5),
        ("colour", "blue"),
        ("span", "no time"),
        ("clock", "25:00"),
        ("backwards", 5),
        ("wrapped", "\0"),
        ("local", datetime(2026, 1, 1, tzinfo=UTC)),
        ("day", datetime(2026, 1, 1, tzinfo=UTC)),
        ("doubled", 2),
        ("moment", object()),
        ("document", "\ud800"),
        ("document", {"k": "\0"}),
    ],
)
def test_a_value_that_the_column_cannot_hold_is_named(own: Session, column: str, value: Any) -> None:
    with pytest.raises(BadRows) as raised:
        bulk_load(own, Everything, [{"whole": 1}, {"whole": 2}, {column: value}])

    assert [problem.row for problem in raised.value.problems] == [3]
    assert raised.value.problems[0].column in (column, None)
    assert own.scalar(select(func.count()).select_from(Everything)) == 0


@pytest.mark.parametrize("escaped", [True, False])
def test_the_engines_own_json_serializer_writes_the_documents(own_engine: Engine, escaped: bool) -> None:
    def serialize(value: Any) -> str:
        return json.dumps({"mine": value}, ensure_ascii=escaped)

    engine = create_engine(own_engine.url, json_serializer=serialize)
    with Session(engine) as session:
        bulk_load(session, Everything, [{"document": "ä \U0001f600"}])

        assert session.scalar(select(Everything.document)) == {"mine": "ä \U0001f600"}
        for broken in ("\0", "\ud800", "\udc00\ud800"):
            with pytest.raises(BadRows):
                bulk_load(session, Everything, [{"document": broken}])
    engine.dispose()


def test_another_client_encoding_carries_what_it_can(own: Session) -> None:
    own.execute(text("SET LOCAL client_encoding = 'LATIN1'"))

    bulk_load(own, Everything, [{"words": "ä", "document": {"k": "ä €"}, "texts": ["ä"]}])
    with pytest.raises(BadRows, match="row 1: words holds a character that the client's encoding"):
        bulk_load(own, Everything, [{"words": "€"}])

    own.execute(text("SET LOCAL client_encoding = 'UTF8'"))
    found = own.scalars(select(Everything)).one()
    assert (found.words, found.document, found.texts) == ("ä", {"k": "ä €"}, ["ä"])


def counted(context: Any) -> int:
    return len(context.get_current_parameters()["name"])


class Defaults(OwnBase):
    """What SQLAlchemy knows as defaults."""

    __tablename__ = "defaults"
    __table_args__ = (CheckConstraint("name <> ''"),)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    constant: Mapped[str] = mapped_column(default="50%")
    made: Mapped[UUID] = mapped_column(default=uuid4)
    of_the_row: Mapped[int] = mapped_column(default=counted)
    in_sql: Mapped[str] = mapped_column(default=func.concat("50%", ":a"))
    by_the_database: Mapped[str] = mapped_column(server_default=text("'it''s 50% \\:b'"))
    kind: Mapped[str] = mapped_column(default="plain")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "plain"}  # noqa: RUF012  SQLAlchemy's own way


class Special(Defaults):
    __mapper_args__ = {"polymorphic_identity": "special"}  # noqa: RUF012  SQLAlchemy's own way


@pytest.mark.parametrize("block", [1, 10])
def test_every_kind_of_default_is_given_to_the_rows_that_need_it(own: Session, block: int) -> None:
    given_rows = [
        {"name": "a"},
        {"name": "bb", "constant": "c", "in_sql": "s", "by_the_database": "d"},
        {"name": "ccc", "of_the_row": 0},
    ]

    bulk_load(own, Defaults, given_rows, block=block)
    bulk_load(own, Special, [Special(name="dddd")])

    found = own.scalars(select(Defaults).order_by(Defaults.number)).all()
    assert [one.constant for one in found] == ["50%", "c", "50%", "50%"]
    assert [one.of_the_row for one in found] == [1, 2, 0, 4]
    assert [one.in_sql for one in found] == ["50%:a", "s", "50%:a", "50%:a"]
    assert [one.by_the_database for one in found] == ["it's 50% :b", "d", "it's 50% :b", "it's 50% :b"]
    assert [type(one) for one in found] == [Defaults, Defaults, Defaults, Special]
    assert len({one.made for one in found}) == 4


class Odd(OwnBase):
    """Names that SQL has to quote, and formats would read."""

    __tablename__ = 'odd "table" 100%'
    id: Mapped[int] = mapped_column("ID of %s", primary_key=True, autoincrement=False)
    colon: Mapped[str] = mapped_column(":colon", server_default="x")
    select_: Mapped[str] = mapped_column("select")


def test_odd_names_are_quoted(own: Session) -> None:
    bulk_load(own, Odd, [{"id": 1, "select_": "a"}, {"ID of %s": 2, ":colon": "y", "select": "b"}])
    bulk_load(own, Odd, [{"id": 2, "select_": "c"}], on_conflict="update", key=["id"])
    with pytest.raises(BadRows, match=r"row 1: has the same \(ID of %s\) as an existing row"):
        bulk_load(own, Odd, [{"id": 1, "select_": "a"}])

    found = own.execute(select(Odd.id, Odd.colon, Odd.select_).order_by(Odd.id)).all()
    assert [tuple(row) for row in found] == [(1, "x", "a"), (2, "y", "c")]


class Parent(OwnBase):
    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)


class Child(Parent):
    __tablename__ = "child"
    id = Column(Integer, ForeignKey("parent.id"), primary_key=True)


def test_a_model_of_two_tables_is_refused(own: Session) -> None:
    with pytest.raises(WrongCall, match="Child is not a model of exactly one table"):
        bulk_load(own, Child, [{"id": 1}])
