"""Databases with sample data and with an application's own tables, and the rows of all tenants as one value."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Computed,
    Engine,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    NullPool,
    Text,
    create_engine,
    make_url,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema import seeds
from dbschema.ddl import declare, declared
from dbschema.models import metadata as models
from dbschema.orm.base import Base
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import AppendOnly, Audited, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.sql import NAMING_CONVENTION
from dbschema.tools.tenants.scope import scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def copied(*, naming: Any = NAMING_CONVENTION) -> MetaData:
    """Our tables in a MetaData of their own, to which a test may add."""
    metadata = MetaData(naming_convention=naming)
    for table in models.sorted_tables:
        table.to_metadata(metadata)
    declare(metadata, *declared(models))
    return metadata


class Own(DeclarativeBase):
    metadata = copied()
    type_annotation_map = Base.type_annotation_map


class Thing(TenantScoped, Timestamped, Versioned, Own):
    """A column of every type that could lose something on its way."""

    __tablename__ = "things"

    words: Mapped[str | None]
    price: Mapped[Decimal | None]
    seen_at: Mapped[datetime | None]
    lasts: Mapped[timedelta | None]
    weight: Mapped[float | None]
    address: Mapped[str | None] = mapped_column(INET)
    extra: Mapped[Any | None] = mapped_column(JSONB)
    picture: Mapped[bytes | None] = mapped_column(LargeBinary)
    sizes: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    names: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    place: Mapped[GeoPoint | None] = geography_point()
    search: Mapped[str | None] = mapped_column(
        TSVECTOR, Computed("to_tsvector('simple', coalesce(words, ''))", persisted=True)
    )


class Node(TenantScoped, Own):
    """Points to itself."""

    __tablename__ = "nodes"
    __table_args__ = (foreign_key("parent_id", "nodes"),)

    parent_id: Mapped[UUID | None]


class Chicken(TenantScoped, Own):
    """Points to an egg, which points to a chicken."""

    __tablename__ = "chickens"
    __table_args__ = (foreign_key("egg_id", "eggs"),)

    egg_id: Mapped[UUID]


class Egg(TenantScoped, Own):
    __tablename__ = "eggs"
    __table_args__ = (foreign_key("chicken_id", "chickens"),)

    chicken_id: Mapped[UUID]


class Device(TenantScoped, Timestamped, Audited, Own):
    """Its changes are recorded."""

    __tablename__ = "devices"

    label: Mapped[str]
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))


class Reading(AppendOnly, Own):
    """Rows that nobody may remove point to a device, which therefore has to stay as long as they do."""

    __tablename__ = "readings"
    __table_args__ = (foreign_key("device_id", "devices"),)

    device_id: Mapped[UUID]
    value: Mapped[float]


@pytest.fixture
def own() -> MetaData:
    """Our tables and an application's."""
    return Own.metadata


@pytest.fixture
def new_engine() -> Iterator[Callable[[str], Engine]]:
    """Makes engines without a pool."""
    made: list[Engine] = []

    def make(url: str) -> Engine:
        made.append(create_engine(url, poolclass=NullPool))
        return made[-1]

    yield make
    for one in made:
        one.dispose()


@pytest.fixture
def a_database(
    new_database: Callable[..., str], new_engine: Callable[[str], Engine]
) -> Callable[..., Engine]:
    """Makes migrated databases and gives an engine of the superuser: `sample` with our sample data, `own` with the
    application's tables."""

    def make(*, sample: bool = False, own: bool = False) -> Engine:
        made = new_engine(new_database(migrated=True))
        with made.begin() as connection:
            if own:
                Own.metadata.create_all(connection)
            if sample:
                seeds.sample.apply(connection)
        return made

    return make


@pytest.fixture
def acting_as(new_engine: Callable[[str], Engine]) -> Iterator[Callable[[Engine, str], Engine]]:
    """Gives an engine of a new login role: a 'member' of the application's role who may read the revision, an 'heirless' one
    that does not inherit it, the login of an 'application' that inherits nothing and connects as that role, an 'operator' that
    inherits nothing and connects as the operators' role, or the 'owner' of all tables. Afterwards there is none of them."""
    made: list[tuple[Engine, str]] = []

    def make(admin: Engine, kind: str) -> Engine:
        role = f"{kind}_{uuid4().hex[:12]}"
        with admin.begin() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'"))
            made.append((admin, role))
            if kind == "operator":
                connection.execute(text(f"ALTER ROLE {role} NOINHERIT; GRANT dbschema_operator TO {role}"))
            elif kind in {"member", "heirless"}:
                if kind == "heirless":
                    connection.execute(text(f"ALTER ROLE {role} NOINHERIT"))
                connection.execute(
                    text(f"GRANT dbschema_app TO {role}; GRANT SELECT ON alembic_version TO {role}")
                )
            elif kind == "application":
                connection.execute(text(f"ALTER ROLE {role} NOINHERIT; GRANT dbschema_app TO {role}"))
                connection.execute(text("GRANT SELECT ON alembic_version TO dbschema_app"))
            else:
                connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {role}"))
                for table in connection.scalars(
                    text(
                        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'spatial_ref_sys'"
                    )
                ).all():
                    connection.execute(text(f"ALTER TABLE {table} OWNER TO {role}"))
        url = make_url(admin.url).set(username=role, password="plain")
        if as_role := {"application": "dbschema_app", "operator": "dbschema_operator"}.get(kind):
            url = url.update_query_dict({"options": f"-c role={as_role}"})
        return new_engine(url.render_as_string(hide_password=False))

    yield make
    for admin, role in made:
        with admin.begin() as connection:
            connection.execute(
                text(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")
            )


@pytest.fixture
def rows_of() -> Callable[..., dict[str, list[str]]]:
    """All rows of all tables but one tenant's, as text with the transaction that wrote each."""

    def read(engine: Engine, metadata: MetaData = models, *, but: UUID | None = None) -> dict[str, list[str]]:
        with engine.begin() as connection:
            return {
                table.name: list(
                    connection.scalars(
                        text(
                            f"SELECT t.xmin || ' ' || t::text FROM {table.sql} t"
                            f" WHERE ({table.of(but or uuid4())}) IS NOT TRUE ORDER BY 1"
                        )
                    )
                )
                for table in scope_of(metadata).tables
            }

    return read
