"""The comparison does not depend on where things are, or on who compares."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dbschema import catalog
from dbschema.ddl import Argument, Function, Grant, Policy, RowSecurity, Trigger, declare, declare_for
from dbschema.ddl.tenancy import isolate
from dbschema.models import metadata as our_models
from dbschema.orm.mixins import AppendOnly, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.orm.types import uuid_key
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def reported(connection: Connection, metadata: MetaData) -> list[str]:
    return [str(difference) for difference in catalog.check(connection, metadata)]


def run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


class TestWho:
    """Ownership by who compares, who owns the database, or who owns the version table goes without saying."""

    def test_the_owner_of_the_database_needs_no_superuser(self, owner_engine: Engine) -> None:
        with owner_engine.begin() as connection:
            our_models.create_all(connection)

        with owner_engine.connect() as connection:
            assert reported(connection, our_models) == []
            connection.exec_driver_sql("ALTER TABLE users NO FORCE ROW LEVEL SECURITY")
            assert reported(connection, our_models) == ["row-level security users: forced is no, wanted yes"]

    def test_a_superuser_sees_what_the_owner_of_the_database_sees(
        self, owner_engine: Engine, fresh_engine: Engine
    ) -> None:
        with owner_engine.begin() as connection:
            our_models.create_all(connection)

        with fresh_engine.connect() as connection:
            assert reported(connection, our_models) == []

    def test_who_may_only_create_a_schema_may_compare(
        self, fresh_engine: Engine, committed_role: str
    ) -> None:
        with fresh_engine.connect() as connection:
            our_models.create_all(connection)
            database = fresh_engine.url.database
            run(connection, f"GRANT CREATE ON DATABASE {database} TO {committed_role}")
            run(connection, f"SET LOCAL ROLE {committed_role}")

            assert reported(connection, our_models) == []

    def test_the_owner_of_the_version_table_owns_the_rest(
        self, fresh_engine: Engine, plain_metadata: MetaData, worker_role: str
    ) -> None:
        with fresh_engine.connect() as connection:
            run(connection, f"CREATE ROLE {worker_role}")
            plain_metadata.create_all(connection)
            run(connection, f"ALTER TABLE things OWNER TO {worker_role}")
            before = reported(connection, plain_metadata)
            run(connection, "CREATE TABLE alembic_version (version_num text PRIMARY KEY)")
            run(connection, f"ALTER TABLE alembic_version OWNER TO {worker_role}")

            assert (
                before
                == [
                    f"sequence things_id_seq: owner is '{worker_role}', wanted none",
                    f"table things: owner is '{worker_role}', wanted none",
                ][::-1]
            )
            assert reported(connection, plain_metadata) == []

    def test_the_version_table_may_have_another_name(
        self, fresh_engine: Engine, plain_metadata: MetaData
    ) -> None:
        with fresh_engine.connect() as connection:
            plain_metadata.create_all(connection)
            run(connection, "CREATE TABLE revisions (version_num text PRIMARY KEY)")

            assert reported(connection, plain_metadata) == ["extra table revisions"]
            assert catalog.check(connection, plain_metadata, version_table="revisions") == ()


class TestExtensions:
    """What extensions own is theirs, and their types are found wherever they are."""

    @pytest.mark.parametrize("schema", ["gis", "public", "shop"])
    def test_the_extension_may_be_in_any_schema(self, fresh_engine: Engine, schema: str) -> None:
        with fresh_engine.connect() as connection:
            run(
                connection,
                f"CREATE SCHEMA IF NOT EXISTS {schema}",
                f"CREATE EXTENSION postgis SCHEMA {schema}",
                f"CREATE EXTENSION btree_gist SCHEMA {schema}",
                f"SET LOCAL search_path TO public, {schema}",
            )
            our_models.create_all(connection)
            # The comparison finds them by itself.
            run(connection, "SET LOCAL search_path TO public")

            assert reported(connection, our_models) == []
            run(connection, "ALTER TABLE incidents DROP COLUMN location")
            assert reported(connection, our_models) == [
                "missing column location on incidents",
                "missing index idx_incidents_location on incidents",
            ]

    def test_the_extension_may_be_in_a_schema_of_the_models(self, fresh_engine: Engine) -> None:
        metadata = our_models_in("shop")
        with fresh_engine.connect() as connection:
            run(
                connection,
                "CREATE SCHEMA shop",
                "CREATE EXTENSION hstore SCHEMA shop",
                "CREATE EXTENSION postgis",
            )
            run(connection, "CREATE EXTENSION btree_gist")
            metadata.create_all(connection)

            assert reported(connection, metadata) == []

    def test_tables_of_extensions_are_not_ours(self, fresh_engine: Engine, geocoder: str) -> None:
        """In a schema that the extension brings on the search_path, and in the default schema itself."""
        with fresh_engine.connect() as connection:
            run(connection, "CREATE EXTENSION postgis", "CREATE EXTENSION btree_gist")
            run(connection, geocoder, "CREATE EXTENSION postgis_topology")
            run(connection, "CREATE TABLE spellings (word text PRIMARY KEY)")
            our_models.create_all(connection)
            run(connection, "SET LOCAL search_path TO public, tiger, topology")

            assert reported(connection, our_models) == ["extra table spellings"]

            run(connection, "ALTER EXTENSION fuzzystrmatch ADD TABLE spellings")

            assert reported(connection, our_models) == []

    def test_an_extension_that_nobody_declared_is_not_told(self, connection: Connection) -> None:
        run(connection, "CREATE EXTENSION hstore", "CREATE EXTENSION pg_trgm")

        assert reported(connection, our_models) == []


def our_models_in(schema: str | None) -> MetaData:
    """Models of a user with the mixins, in a MetaData of their own; some of them in another schema."""

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Tenant(Timestamped, Base):
        __tablename__ = "tenants"
        id: Mapped[UUID] = uuid_key()

    isolate(Base.metadata.tables["tenants"], column="id", distribution="reference")

    class Product(Timestamped, Versioned, TenantScoped, Base):
        __tablename__ = "products"
        __table_args__ = (
            Index("idx_products_name", "tenant_id", "name"),
            {"schema": schema, "comment": "Things to buy"},
        )
        name: Mapped[str] = mapped_column(Text)
        size: Mapped[str] = mapped_column(
            Enum("small", "large", name="size", schema=schema), server_default="small"
        )

    class Sale(AppendOnly, Base):
        __tablename__ = "sales"
        __table_args__ = (foreign_key("product_id", f"{schema}.products" if schema else "products"),)
        product_id: Mapped[UUID]

    del Product, Sale
    size = "size" if schema is None else f"{schema}.size"
    declare(
        Base.metadata,
        Function(
            "products_of",
            "bigint",
            "SELECT 1::bigint",
            arguments=(Argument("wanted", size),),
            language="sql",
            needs_tables=True,
            schema=schema,
        ),
        Grant(("EXECUTE",), "FUNCTION", f"products_of({size})", "dbschema_app", schema=schema),
    )
    return Base.metadata


class TestSchemas:
    """Each schema that the models name is built, read and told by its own name."""

    def test_models_with_the_mixins_in_a_metadata_of_their_own(self, fresh_engine: Engine) -> None:
        metadata = our_models_in(None)
        with fresh_engine.connect() as connection:
            metadata.create_all(connection)

            assert reported(connection, metadata) == []
            run(connection, "ALTER TABLE products DISABLE TRIGGER raise_products_version")
            run(connection, "DROP POLICY tenant_isolation ON sales")
            assert reported(connection, metadata) == [
                "missing policy tenant_isolation on sales",
                "trigger raise_products_version on products: enabled is 'disabled', wanted 'origin'",
            ]

    def test_tables_in_a_second_schema(self, fresh_engine: Engine) -> None:
        metadata = our_models_in("shop")
        with fresh_engine.connect() as connection:
            run(connection, "CREATE SCHEMA shop")
            metadata.create_all(connection)

            assert reported(connection, metadata) == []

    def test_drift_in_a_second_schema_is_told_by_its_name(self, fresh_engine: Engine) -> None:
        metadata = our_models_in("shop")
        with fresh_engine.connect() as connection:
            run(connection, "CREATE SCHEMA shop")
            metadata.create_all(connection)
            run(
                connection,
                "CREATE VIEW shop.names AS SELECT name FROM shop.products",
                "ALTER TABLE shop.products NO FORCE ROW LEVEL SECURITY",
                "ALTER TABLE sales DROP CONSTRAINT fk_sales_tenant_id_product_id",
                "REVOKE SELECT ON shop.products FROM dbschema_readonly",
                "GRANT CREATE ON SCHEMA shop TO PUBLIC",
                "GRANT EXECUTE ON FUNCTION shop.products_of(shop.size) TO PUBLIC",
                "ALTER TYPE shop.size RENAME VALUE 'large' TO 'big'",
                "CREATE TABLE shop.tenants (id int)",
            )

            assert reported(connection, metadata) == [
                "extra table shop.tenants",
                "missing constraint fk_sales_tenant_id_product_id on sales",
                "row-level security shop.products: forced is no, wanted yes",
                "enum shop.size: labels is (small, big), wanted (small, large)",
                "extra view shop.names",
                "extra grant FUNCTION products_of(shop.size) TO PUBLIC in schema shop",
                "extra grant SCHEMA TO PUBLIC in schema shop",
                "missing grant TABLE products TO dbschema_readonly in schema shop",
            ]

    def test_a_missing_schema_hides_what_is_in_it(self, fresh_engine: Engine) -> None:
        metadata = our_models_in("shop")
        with fresh_engine.connect() as connection:
            our_models_in(None).create_all(connection)
            run(connection, "DROP TABLE products CASCADE", "DROP FUNCTION products_of", "DROP TYPE size")

            assert reported(connection, metadata) == [
                "missing schema shop",
                "missing constraint fk_sales_tenant_id_product_id on sales",
            ]

    def test_the_default_schema_may_be_another_one(self, fresh_engine: Engine) -> None:
        with fresh_engine.connect() as connection:
            run(connection, 'CREATE SCHEMA "My app"', "CREATE TABLE public.other (id int)")
            run(connection, 'SET search_path TO "My app", public')
            our_models.create_all(connection)
            run(
                connection,
                'GRANT USAGE ON SCHEMA "My app" TO dbschema_app, dbschema_operator, dbschema_readonly, dbschema_search',
            )

            assert reported(connection, our_models) == []
            run(connection, "DROP TRIGGER update_users_updated_at ON users")
            assert reported(connection, our_models) == ["missing trigger update_users_updated_at on users"]

    def test_the_default_schema_may_be_written_out(self, fresh_engine: Engine) -> None:
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        things = Table(
            "things",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("next_id", ForeignKey("public.things.id")),
            CheckConstraint("id > 0", name="positive"),
            schema="public",
            comment="Things",
        )
        declare_for(
            things,
            RowSecurity("things", schema="public"),
            Policy("all", "things", using="true", schema="public"),
            Function("touch", "trigger", "BEGIN RETURN NEW; END", schema="public"),
            Trigger("touch", "things", "touch", schema="public", function_schema="public"),
            Grant(("SELECT",), "TABLE", "things", "dbschema_app", schema="public"),
        )
        with fresh_engine.connect() as connection:
            metadata.create_all(connection)

            assert reported(connection, metadata) == []
            run(connection, 'DROP POLICY "all" ON things')
            assert reported(connection, metadata) == ["missing policy all on things"]

    def test_other_schemas_are_not_ours(self, connection: Connection) -> None:
        run(
            connection,
            "CREATE SCHEMA other",
            "CREATE TABLE other.users (id int)",
            "CREATE VIEW other.v AS SELECT 1",
        )

        assert reported(connection, our_models) == []


def test_a_client_library_without_pipelines_gives_the_same(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older libpq has none, and an asynchronous connection cannot use them from synchronous code."""
    at_once = catalog.actual(connection, our_models)
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)

    one_by_one = catalog.actual(connection, our_models)

    assert dict(one_by_one.entries) == dict(at_once.entries)
    assert reported(connection, our_models) == []
