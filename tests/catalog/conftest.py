"""What the tests of the catalog share: roles of their own, and models that are not ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from geoalchemy2 import Geometry
from sqlalchemy import (
    ARRAY,
    DDL,
    CheckConstraint,
    Column,
    Computed,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    NullPool,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    desc,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DOMAIN, INT4RANGE, JSONB, TIMESTAMP, ExcludeConstraint

from dbschema import catalog
from dbschema.ddl import (
    Argument,
    Extension,
    Function,
    Grant,
    Policy,
    Role,
    RowSecurity,
    Trigger,
    declare,
    declare_for,
)
from dbschema.models import metadata as our_models
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def worker_role() -> str:
    """The name of a role that no other worker of the test run uses; roles belong to the whole server."""
    return f"drifter_{WORKER}"


@pytest.fixture
def fresh_engine(fresh_database: str) -> Iterator[Engine]:
    """An engine for an empty database."""
    engine = create_engine(fresh_database, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def plain_metadata() -> MetaData:
    """One table without anything declared for it, and no convention for names."""
    metadata = MetaData()
    Table("things", metadata, Column("id", Integer, primary_key=True), Column("name", String(20)))
    return metadata


@pytest.fixture
def everything(worker_role: str) -> MetaData:
    """Models that use what PostgreSQL and SQLAlchemy have, without the conventions of ours."""
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    mood = Enum("good", "bad", "it's so-so", name="mood", metadata=metadata)
    rate = DOMAIN("rate", Numeric(5, 3), check="VALUE > 0", not_null=True, metadata=metadata)
    things = Table(
        "things",
        metadata,
        Column("id", Integer, Identity(always=True, start=7, increment=3, cycle=True), primary_key=True),
        Column("serial", SmallInteger, Sequence("tickets", start=5, metadata=metadata), nullable=False),
        Column("mood", mood, server_default="it's so-so", comment="100% good: or bad"),
        Column("rate", rate),
        Column("name", String(20, collation="C"), nullable=False),
        Column("upper", Text, Computed("upper(name)", persisted=True)),
        Column("amounts", ARRAY(Numeric(12, 2)), server_default=text("'{}'")),
        Column("at", TIMESTAMP(timezone=True, precision=3), server_default=func.now()),
        Column("during", INT4RANGE),
        Column("data", JSONB, server_default=text("""'{"a": "b"}'::jsonb""")),
        Column("select", Text, comment="a 'keyword' with \\ and a\nline"),
        Column("größe", Integer),
        Column("MixedCase", Integer),
        Column("shape", Geometry("POLYGON", srid=4326, spatial_index=True)),
        CheckConstraint("length(name) > 3 AND name NOT LIKE '%x%'", name="name"),
        UniqueConstraint("name", "upper", postgresql_include=["mood"]),
        UniqueConstraint("MixedCase", "select"),
        UniqueConstraint("serial", deferrable=True, initially="DEFERRED"),
        UniqueConstraint("größe", postgresql_nulls_not_distinct=True),
        ExcludeConstraint(("during", "&&"), ("id", "="), name="no_overlap", where=text("id > 3")),
        Index("idx_partial", "name", unique=True, postgresql_where=text("mood <> 'bad'")),
        Index("idx_included", "name", postgresql_include=["rate"], postgresql_with={"fillfactor": 70}),
        Index("idx_pattern", "name", postgresql_ops={"name": "text_pattern_ops"}),
        Index("idx_data", "data", postgresql_using="gin"),
        Index("idx_expression", text("lower(name) DESC NULLS LAST"), "id"),
        Index("idx_down", "name", desc("id"), unique=True),
        Index("idx_hash", "name", postgresql_using="hash"),
        Index("idx_quoted", "select", "MixedCase"),
        Index("idx_concurrent", "at", postgresql_concurrently=True),
        comment="What there is; 50% of it",
        postgresql_with={"fillfactor": 90},
    )
    owners = Table(
        "owners",
        metadata,
        Column("id", Integer, primary_key=True),
        Column(
            "thing_id",
            ForeignKey(
                "things.id", onupdate="CASCADE", ondelete="SET NULL", deferrable=True, initially="DEFERRED"
            ),
        ),
        Column("other_id", ForeignKey("things.id", name="fk_other", use_alter=True, match="FULL")),
        Column("chief_id", ForeignKey("owners.id", ondelete="RESTRICT", comment="who leads")),
        Column("a", Integer),
        Column("b", Text),
        ForeignKeyConstraint(
            ["a", "b"], ["Things of others.a", "Things of others.b"], ondelete="SET NULL (b)"
        ),
    )
    Table(
        "Things of others",
        metadata,
        Column("a", Integer, primary_key=True, autoincrement=False),
        Column("b", Text, primary_key=True),
        Column("owner_id", ForeignKey("owners.id", use_alter=True)),
    )
    reader = Role(worker_role, settings=(("statement_timeout", "5s"), ("jit", "off")))
    declare(
        metadata,
        Extension("postgis"),
        Extension("btree_gist"),
        reader,
        Function(
            "touch",
            "trigger",
            "BEGIN\n    -- 100% :sure\n    RETURN NEW;\nEND",
            settings=(("search_path", "pg_catalog, pg_temp"),),
            comment="It's nothing",
        ),
        Function(
            "find_things",
            "SETOF things",
            "SELECT * FROM things WHERE mood = $1",
            arguments=(Argument("wanted", "mood", "'good'"), Argument("much", "int", "1")),
            language="sql",
            volatility="STABLE",
            parallel="SAFE",
            strict=True,
            security_definer=True,
            settings=(("search_path", "public"),),
            owner=worker_role,
            needs_tables=True,
        ),
        Grant(("EXECUTE",), "FUNCTION", "find_things(mood, int)", "public"),
        Grant(("USAGE", "SELECT"), "SEQUENCE", "tickets", worker_role, grantable=True),
        Grant(("USAGE",), "SCHEMA", None, worker_role),
    )
    declare_for(
        things,
        RowSecurity("things", forced=False),
        Policy(
            "readers",
            "things",
            using="mood = 'good'::mood",
            command="SELECT",
            roles=(worker_role, "dbschema_app"),
        ),
        Policy("nobody", "things", check="false", command="INSERT", permissive=False, comment="It's closed"),
        Trigger(
            "touch_things",
            "things",
            "touch",
            timing="AFTER",
            events=("INSERT", "UPDATE"),
            when="NEW.name <> '50%'",
            columns=("name", "select"),
            arguments=("it's", "2"),
            comment="Touches",
        ),
        Grant(("SELECT", "UPDATE (name)"), "TABLE", "things", worker_role),
        Grant(("ALL",), "TABLE", "things", "dbschema_app"),
        Grant(("SELECT", "INSERT"), "TABLE", "things", "dbschema_readonly", grantable=True),
    )
    declare_for(owners, Grant(("SELECT",), "TABLE", "owners", "public"))
    for statement in (
        "CREATE VIEW good_things WITH (security_barrier) AS SELECT name, rate FROM things WHERE mood = 'good'",
        "CREATE RULE keep AS ON DELETE TO owners WHERE OLD.id < 10 DO INSTEAD NOTHING",
        "CREATE STATISTICS related (ndistinct, mcv) ON name, mood FROM things",
        "CREATE TYPE pair AS (a int, b mood)",
        "COMMENT ON INDEX idx_partial IS 'It''s partial'",
        "ALTER TABLE things REPLICA IDENTITY FULL",
        "ALTER TABLE things ALTER COLUMN name SET STORAGE EXTERNAL, ALTER COLUMN data SET STATISTICS 7",
        "CREATE SEQUENCE counter AS smallint OWNED BY owners.a",
    ):
        event.listen(metadata, "after_create", DDL(statement.replace("%", "%%")))
    return metadata


@pytest.fixture
def committed_role(server: Any) -> Iterator[str]:
    """A role that other connections see; it goes after the databases of the test."""
    name = f"owner_{WORKER}"
    engine = create_engine(server.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        yield name
        connection.exec_driver_sql(f"DROP ROLE {name}")


@pytest.fixture
def owner_engine(committed_role: str, fresh_database: str) -> Iterator[Engine]:
    """As a role that owns a database and is no superuser; the database has the extensions of our models."""
    admin = create_engine(fresh_database, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(
            "CREATE EXTENSION postgis; CREATE EXTENSION btree_gist; CREATE EXTENSION btree_gin"
        )
        # Who may not create roles has to be let into the one that searches belong to, to give them to it.
        connection.exec_driver_sql(f"GRANT dbschema_search TO {committed_role}")
        connection.exec_driver_sql(f"ALTER DATABASE {admin.url.database} OWNER TO {committed_role}")
    url = admin.url.set(username=committed_role, password="secret")
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def differences_after(connection: Connection, worker_role: str) -> Callable[[str], list[str]]:
    """Makes a change by hand in a migrated database, and returns the differences, a line for each.

    In the change and in the lines, {role} is a role that nobody has declared, and {user} the one that is connected.
    """
    connection.exec_driver_sql(f"CREATE ROLE {worker_role}; GRANT CREATE ON SCHEMA public TO {worker_role}")
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {worker_role}")
    user = connection.exec_driver_sql("SELECT current_user").scalar_one()

    def change_and_compare(sql: str) -> list[str]:
        # As it stands: a percent sign or a brace in it is nobody's placeholder.
        statement = sql.replace("{role}", worker_role)
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        lines = []
        for item in catalog.check(connection, our_models):
            attribute = "" if item.attribute is None else f": {item.attribute}"
            line = f"{item.change} {item.kind} {item.name}{attribute}"
            lines.append(line.replace(worker_role, "{role}").replace(f" of {user}", " of {user}"))
        return lines

    return change_and_compare
