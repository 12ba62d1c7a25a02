"""What the models name, in the words that the server uses."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import CHAR, TypeEngine

from dbschema.ddl import Policy
from dbschema.ddl.tenancy import CURRENT_TENANT
from dbschema.geography import GeographyPoint
from dbschema.verify.unbuilt import wanted

TYPES: list[TypeEngine[object]] = [
    ARRAY(Integer, dimensions=2),
    ARRAY(Text),
    BigInteger(),
    CHAR(3),
    Date(),
    DateTime(),
    DateTime(timezone=True),
    Double(),
    Float(),
    GeographyPoint(),
    Interval(),
    LargeBinary(),
    Numeric(),
    Numeric(12, 2),
    SmallInteger(),
    String(),
    String(20),
    Text(),
    Time(),
    Uuid(),
    postgresql.INET(),
    postgresql.JSONB(),
    postgresql.TIMESTAMP(timezone=True, precision=3),
    postgresql.TSVECTOR(),
]


@pytest.mark.parametrize("type_", TYPES, ids=repr)
def test_a_type_is_written_as_the_server_writes_it(connection: Connection, type_: TypeEngine[object]) -> None:
    table = Table("typed", MetaData(), Column("it", type_))
    table.create(connection)

    written = connection.scalar(
        text(
            "SELECT lower(format_type(atttypid, atttypmod)) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum = 1"
        )
    )

    assert wanted.columns(table)["it"]["type"] == written


def test_the_isolation_policy_is_known_as_the_server_prints_it(connection: Connection) -> None:
    printed = connection.scalar(
        text("SELECT qual FROM pg_policies WHERE tablename = 'incidents' AND roles = '{public}'")
    )

    declared = Policy("isolation", "incidents", using=f"tenant_id = {CURRENT_TENANT}")

    assert wanted.policies([declared])["isolation"]["using"] == wanted.squeezed(str(printed))


def test_the_condition_of_another_policy_is_not_compared_as_text() -> None:
    declared = Policy("open", "incidents", using="1 + 1 = 2")

    assert "using" not in wanted.policies([declared])["open"]


def test_a_constraint_without_a_name_is_left_to_the_server() -> None:
    table = Table(
        "plain",
        MetaData(),
        Column("it", Integer),
        CheckConstraint("it > 0"),
        CheckConstraint("it < 9", name="few"),
    )

    assert wanted.has_nameless_constraints(table)
    assert wanted.constraints(table) == {"few": {"type": "c", "valid": True}}
