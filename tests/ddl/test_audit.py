"""A table that is `Audited` records who changed what, whoever changes it, and nobody who may not can switch that off."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Computed,
    Connection,
    MetaData,
    NullPool,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, TSTZRANGE
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from dbschema import catalog, verify
from dbschema.ddl import declare, declared
from dbschema.ddl.audit import (
    ADDRESS_SETTING,
    LARGEST_VALUE,
    SILENCE_SETTING,
    USER_SETTING,
    AuditTables,
    audit_function,
    audit_trigger,
    keep_audited,
)
from dbschema.errors import DeclarationError
from dbschema.models import metadata as models
from dbschema.orm.base import Base
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import Audited, TenantScoped, Timestamped, Versioned, foreign_key
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


class Own(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = Base.type_annotation_map


for _table in models.sorted_tables:
    _table.to_metadata(Own.metadata)
declare(Own.metadata, *declared(models))


class Contract(Audited, TenantScoped, Timestamped, Versioned, Own):
    __tablename__ = "contracts"
    __table_args__ = (UniqueConstraint("tenant_id", "title"),)
    __audit_exclude__ = ("secret",)

    title: Mapped[str]
    amount: Mapped[Decimal | None]
    terms: Mapped[Any | None] = mapped_column(JSONB)
    place: Mapped[GeoPoint | None] = geography_point()
    secret: Mapped[str | None]
    share: Mapped[float | None]
    signed: Mapped[datetime | None]
    lasts: Mapped[timedelta | None]
    seal: Mapped[bytes | None]
    valid: Mapped[Any | None] = mapped_column(TSTZRANGE)


class Clause(Audited, TenantScoped, Own):
    """Goes with its contract."""

    __tablename__ = "clauses"
    __table_args__ = (foreign_key("contract_id", "contracts", cascade=True),)

    contract_id: Mapped[UUID]
    words: Mapped[str | None]
    shout: Mapped[str | None] = mapped_column(String, Computed("upper(words)", persisted=True))


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def admin(connection: Connection, tenant: UUID, user: UUID) -> Connection:
    """The superuser, in a database with the tables, the tenant and its user."""
    Own.metadata.create_all(connection)
    connection.execute(insert(Own.metadata.tables["tenants"]).values(id=tenant, tenant_name="t", slug="t"))
    connection.execute(
        insert(Own.metadata.tables["users"]).values(tenant_id=tenant, id=user, username="u", email="u@b.c")
    )
    connection.execute(text(f"SET LOCAL app.tenant_id = '{tenant}'"))
    return connection


@pytest.fixture
def engine_of_own(database: str) -> Iterator[Engine]:
    """The superuser's, on a database that a test may write for good."""
    engine = create_engine(database, poolclass=NullPool)
    Own.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def app(admin: Connection) -> Connection:
    """The application's role, with the tenant set."""
    admin.execute(text("SET LOCAL ROLE dbschema_app"))
    return admin


def records(connection: Connection) -> list[Any]:
    """What was recorded, in the order in which it was."""
    log = Own.metadata.tables["audit_logs"]
    columns = [
        log.c[name] for name in ("action", "resource_type", "resource_id", "user_id", "ip_address", "details")
    ]
    return list(connection.execute(select(*columns).order_by(text("audit_logs.ctid"))))


def test_the_three_kinds_of_change_are_recorded_with_who_what_old_and_new(
    app: Connection, tenant: UUID, user: UUID
) -> None:
    app.execute(text(f"SET LOCAL app.user_id = '{user}'; SET LOCAL app.ip_address = '2001:db8::1'"))
    key = uuid4()
    app.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a", amount=Decimal("1.50")))
    app.execute(update(Contract).values(amount=Decimal("2.50"), terms={"x": [1]}))
    app.execute(delete(Contract))

    inserted, updated, deleted = records(app)

    for row, action in ((inserted, "insert"), (updated, "update"), (deleted, "delete")):
        assert tuple(row)[:5] == (action, "contracts", str(key), user, ip_address("2001:db8::1"))
    assert set(inserted.details) == {"new", "hidden"}
    assert inserted.details["new"]["title"] == "a"
    assert inserted.details["new"]["amount"] == 1.5
    assert updated.details == {
        "old": {"amount": 1.5, "terms": None, "version": 1},
        "new": {"amount": 2.5, "terms": {"x": [1]}, "version": 2},
    }
    assert deleted.details["old"]["amount"] == 2.5
    assert set(deleted.details) == {"old", "hidden"}


def test_the_orm_and_statements_for_many_rows_are_recorded_row_by_row(app: Connection, tenant: UUID) -> None:
    with Session(app, join_transaction_mode="create_savepoint") as session:
        session.add_all([Contract(tenant_id=tenant, title=str(number)) for number in range(50)])
        session.flush()
        session.execute(update(Contract).where(Contract.title < "2").values(title=Contract.title + "!"))
        session.commit()

    rows = records(app)

    assert [row.action for row in rows] == ["insert"] * 50 + ["update"] * 12
    assert all(row.details["new"]["title"] == row.details["old"]["title"] + "!" for row in rows[50:])


def test_an_upsert_is_recorded_as_what_it_did(app: Connection, tenant: UUID) -> None:
    statement = text(
        f"INSERT INTO contracts (tenant_id, title, amount) VALUES ('{tenant}', 'a', :amount)"
        " ON CONFLICT (tenant_id, title) DO UPDATE SET amount = excluded.amount"
    )
    for amount in (1, 2):
        app.execute(statement, {"amount": amount})

    assert [row.action for row in records(app)] == ["insert", "update"]


def test_an_update_that_changes_nothing_leaves_no_record(app: Connection, tenant: UUID) -> None:
    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))

    app.execute(update(Contract).values(title="a"))

    assert [row.action for row in records(app)] == ["insert"]


def test_what_the_database_computes_is_not_recorded(app: Connection, tenant: UUID) -> None:
    key = uuid4()
    app.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a"))
    app.execute(insert(Clause).values(tenant_id=tenant, contract_id=key, words="a"))
    app.execute(update(Clause).values(words="b"))

    _, inserted, updated = records(app)

    assert inserted.details["new"].keys() == {"tenant_id", "id", "contract_id", "words"}
    assert updated.details == {"old": {"words": "a"}, "new": {"words": "b"}}


def test_an_excluded_value_is_never_recorded_and_that_it_changed_is(app: Connection, tenant: UUID) -> None:
    app.execute(insert(Contract).values(tenant_id=tenant, title="a", secret="hush one"))
    app.execute(update(Contract).values(secret="hush two"))
    app.execute(delete(Contract))

    rows = records(app)

    assert [row.details["hidden"] for row in rows] == [["secret"]] * 3
    assert rows[1].details["new"] == {"version": 2}
    assert "hush" not in str([row.details for row in rows])


def test_a_place_is_recorded_exactly(app: Connection, tenant: UUID) -> None:
    app.execute(insert(Contract).values(tenant_id=tenant, title="a", place=(7.447, 46.948)))

    (row,) = records(app)

    stored = app.scalar(text("SELECT place::text FROM contracts"))
    assert row.details["new"]["place"] == stored


def test_of_a_large_value_length_and_hash_are_recorded(app: Connection, tenant: UUID) -> None:
    large = "ü" * LARGEST_VALUE
    app.execute(insert(Contract).values(tenant_id=tenant, title="a", terms={"k": large}, secret=large))
    app.execute(update(Contract).values(terms=large, amount=1))

    inserted, updated = records(app)

    known = {"bytes": len(large.encode()), "sha256": hashlib.sha256(large.encode()).hexdigest()}
    assert inserted.details["new"]["terms"]["omitted"]["bytes"] > LARGEST_VALUE
    assert inserted.details["new"]["title"] == "a"
    assert updated.details["old"]["terms"] == inserted.details["new"]["terms"]
    assert updated.details["new"] == {"terms": {"omitted": known}, "amount": 1, "version": 2}


@pytest.mark.parametrize(
    "value", ["", "nobody", "123e4567-e89b-12d3-a456-426614174000", "'; DROP TABLE users"]
)
def test_who_is_no_user_of_the_tenant_is_nobody(app: Connection, tenant: UUID, value: str) -> None:
    app.execute(text("SELECT set_config('app.user_id', :value, true)"), {"value": value})

    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))

    assert records(app)[0].user_id is None


@pytest.mark.parametrize("value", ["", "unknown", "1.2.3", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_none(app: Connection, tenant: UUID, value: str) -> None:
    app.execute(text("SELECT set_config('app.ip_address', :value, true)"), {"value": value})

    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))

    assert records(app)[0].ip_address is None


def test_rows_that_go_with_another_row_are_recorded(app: Connection, tenant: UUID) -> None:
    key = uuid4()
    app.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a"))
    app.execute(insert(Clause).values(tenant_id=tenant, contract_id=key))

    app.execute(delete(Contract))

    assert sorted((row.action, row.resource_type) for row in records(app))[:2] == [
        ("delete", "clauses"),
        ("delete", "contracts"),
    ]


@pytest.mark.parametrize("role", ["superuser", "application"])
def test_a_tenant_goes_with_its_records_and_leaves_none(admin: Connection, tenant: UUID, role: str) -> None:
    key = uuid4()
    admin.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a"))
    admin.execute(insert(Clause).values(tenant_id=tenant, contract_id=key))
    if role == "application":
        admin.execute(text("SET LOCAL ROLE dbschema_app"))

    admin.execute(text(f"DELETE FROM tenants WHERE id = '{tenant}'"))

    admin.execute(text("RESET ROLE"))
    assert records(admin) == []


def test_a_change_that_cannot_be_recorded_is_not_made(admin: Connection, tenant: UUID) -> None:
    """A role that may write the table and not the log; and a tenant that is exchanged in the middle of a statement."""
    admin.execute(insert(Contract).values(tenant_id=tenant, title="a"))
    admin.execute(text("REVOKE INSERT ON audit_logs FROM dbschema_app"))
    admin.execute(text("SET LOCAL ROLE dbschema_app"))

    with pytest.raises(DBAPIError, match="permission denied for table audit_logs"), admin.begin_nested():
        admin.execute(delete(Contract))

    admin.execute(text("RESET ROLE; GRANT INSERT ON audit_logs TO dbschema_app; SET LOCAL ROLE dbschema_app"))
    with pytest.raises(DBAPIError, match="row-level security"), admin.begin_nested():
        admin.execute(
            text(
                "DELETE FROM contracts WHERE set_config('app.tenant_id', gen_random_uuid()::text, true) <> ''"
            )
        )
    assert admin.scalar(select(Contract.title)) == "a"


@pytest.mark.parametrize("definer", [False, True])
def test_the_application_cannot_silence_the_log(admin: Connection, tenant: UUID, definer: bool) -> None:
    """Neither by the setting, nor through a function that runs with the owner's rights."""
    admin.execute(insert(Contract).values(tenant_id=tenant, title="a"))
    admin.execute(
        text(
            "CREATE ROLE audit_test_login IN ROLE dbschema_app;"
            "CREATE FUNCTION rename_all() RETURNS void LANGUAGE sql SECURITY DEFINER"
            " AS 'UPDATE public.contracts SET title = title || ''!''';"
            "SET SESSION AUTHORIZATION audit_test_login"
        )
    )
    admin.execute(text(f"SET LOCAL {SILENCE_SETTING} = '{tenant}'"))

    admin.execute(text("SELECT rename_all()" if definer else "UPDATE contracts SET title = title || '!'"))

    admin.execute(text("RESET SESSION AUTHORIZATION"))
    assert [row.action for row in records(admin)] == ["insert", "update"]


def test_the_owner_imports_and_removes_a_tenant_without_records_and_that_tenant_only(
    admin: Connection, tenant: UUID
) -> None:
    other = uuid4()
    admin.execute(insert(Own.metadata.tables["tenants"]).values(id=other, tenant_name="o", slug="o"))
    admin.execute(text(f"SET LOCAL {SILENCE_SETTING} = '{tenant}'"))

    admin.execute(insert(Contract).values(tenant_id=tenant, title="a"))
    admin.execute(insert(Contract).values(tenant_id=other, title="b"))

    assert [row.details["new"]["title"] for row in records(admin)] == ["b"]


def test_a_table_of_the_same_name_in_the_way_is_not_written(app: Connection, tenant: UUID) -> None:
    """A temporary table before ours in the search_path."""
    app.execute(text(f"RESET ROLE; GRANT TEMPORARY ON DATABASE {app.engine.url.database} TO dbschema_app"))
    app.execute(text("SET LOCAL ROLE dbschema_app"))
    for name in ("audit_logs", "users", "tenants"):
        app.execute(text(f"CREATE TEMPORARY TABLE {name} (LIKE public.{name}) ON COMMIT DROP"))

    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))

    assert app.scalar(text("SELECT count(*) FROM pg_temp.audit_logs")) == 0
    assert app.scalar(text("SELECT count(*) FROM public.audit_logs")) == 1


def test_a_function_beside_the_tables_that_fits_better_is_not_called(app: Connection, tenant: UUID) -> None:
    """As whoever may create functions in the schema could make it: for the very type of the row."""
    app.execute(
        text(
            "RESET ROLE;"
            "CREATE FUNCTION public.to_jsonb(contracts) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;"
            "CREATE FUNCTION public.to_jsonb(text[]) RETURNS jsonb LANGUAGE sql AS $$SELECT '[]'::jsonb$$;"
            "CREATE FUNCTION public.jsonb_build_object(text, jsonb) RETURNS jsonb LANGUAGE sql"
            " AS $$SELECT '{}'::jsonb$$;"
            "CREATE FUNCTION public.pg_column_size(jsonb) RETURNS int LANGUAGE sql AS 'SELECT 99999';"
            "CREATE FUNCTION public.unlike(text[], text[]) RETURNS boolean LANGUAGE sql AS 'SELECT false';"
            "CREATE OPERATOR public.<> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = public.unlike);"
            "SET LOCAL ROLE dbschema_app; SET LOCAL extra_float_digits = -15"
        )
    )

    app.execute(insert(Contract).values(tenant_id=tenant, title="a", share=1 / 3))

    (row,) = records(app)
    assert (row.details["new"]["title"], row.details["hidden"]) == ("a", ["secret"])
    assert row.details["new"]["share"] == 1 / 3


SETTINGS = {
    "timezone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
}


def shown(connection: Connection) -> list[Any]:
    return [connection.scalar(text(f"SHOW {name}")) for name in ("search_path", *SETTINGS)]


def odd(connection: Connection, scope: str) -> None:
    for name, value in SETTINGS.items():
        connection.execute(text(f"SET {scope} {name} = '{value}'"))


@pytest.mark.parametrize("scope", ["LOCAL", "SESSION"])
def test_the_callers_settings_are_what_they_were(app: Connection, tenant: UUID, scope: str) -> None:
    """After the statement, after one that failed, and after the transaction to which it belonged."""
    usual = shown(app)
    savepoint = app.begin_nested()
    odd(app, scope)
    before = shown(app)

    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))
    after = shown(app)
    with pytest.raises(DBAPIError), app.begin_nested():
        app.execute(insert(Contract).values(tenant_id=tenant, title="a"))
    after_error = shown(app)
    savepoint.rollback()

    assert before[1:] == list(SETTINGS.values())
    assert [after, after_error] == [before, before]
    assert shown(app) == usual


def test_a_setting_of_the_session_outlives_the_transaction_as_it_was(engine_of_own: Engine) -> None:
    tenant = uuid4()
    with engine_of_own.connect() as connection:
        odd(connection, "SESSION")
        before = shown(connection)
        connection.execute(
            insert(Own.metadata.tables["tenants"]).values(id=tenant, tenant_name="t", slug="t")
        )
        connection.execute(insert(Contract).values(tenant_id=tenant, title="a"))
        connection.commit()

        assert shown(connection) == before


def test_a_record_is_the_same_whatever_the_session_has_set(app: Connection, tenant: UUID) -> None:
    values = {
        "amount": Decimal("1.50"),
        "share": 0.1 + 0.2,
        "signed": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "lasts": timedelta(days=1, seconds=2),
        "seal": b"\\\x00a",
    }
    key = uuid4()
    app.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a", **values))
    app.execute(text("UPDATE contracts SET valid = tstzrange(signed, NULL)"))
    app.execute(delete(Contract))
    odd(app, "LOCAL")
    app.execute(insert(Contract).values(tenant_id=tenant, id=key, title="a", **values))
    app.execute(text("UPDATE contracts SET valid = tstzrange(signed, NULL)"))
    app.execute(delete(Contract))

    rows = [row.details for row in records(app)]

    assert rows[:3] == rows[3:]
    found = rows[2]["old"]
    assert found["share"] == 0.1 + 0.2
    assert found["signed"] == "2026-01-02T03:04:05.678901+00:00"
    assert found["valid"] == '["2026-01-02 03:04:05.678901+00",)'
    assert (found["lasts"], found["seal"]) == ("1 day 00:00:02", "\\x5c0061")


def test_a_change_is_not_hidden_by_rounding(app: Connection, tenant: UUID) -> None:
    """To one digit, both are the same."""
    app.execute(insert(Contract).values(tenant_id=tenant, title="a", share=1.1))
    app.execute(text("SET LOCAL extra_float_digits = -15"))

    app.execute(text("UPDATE contracts SET share = 1.2"))

    changes = records(app)[1].details
    assert (changes["old"]["share"], changes["new"]["share"]) == (1.1, 1.2)


def test_no_other_tenant_sees_the_record(app: Connection, tenant: UUID) -> None:
    app.execute(insert(Contract).values(tenant_id=tenant, title="a"))

    app.execute(text(f"SET LOCAL app.tenant_id = '{uuid4()}'"))

    assert records(app) == []


def test_the_database_is_what_the_models_declare_and_its_damage_is_found(admin: Connection) -> None:
    clean = catalog.check(admin, Own.metadata)
    report = verify.run(admin, metadata=Own.metadata)
    admin.execute(text("DROP TRIGGER audit_clauses_change ON clauses"))
    admin.execute(text("ALTER TABLE contracts DISABLE TRIGGER audit_contracts_change"))

    damaged = catalog.check(admin, Own.metadata)

    assert not clean
    assert report.failures == ()
    assert sorted(one.name for one in damaged) == [
        "audit_clauses_change on clauses",
        "audit_contracts_change on contracts",
    ]


def test_autogenerate_writes_a_trigger_that_is_missing(admin: Connection) -> None:
    admin.execute(text("DROP TRIGGER audit_clauses_change ON clauses"))
    context = MigrationContext.configure(
        admin, opts={"autogenerate_plugins": ["alembic.autogenerate.*", "dbschema"]}
    )

    differences = compare_metadata(context, Own.metadata)

    assert "audit_clauses_change" in str(differences)


def table(*columns: str) -> Table:
    return Table(
        "t", MetaData(naming_convention=NAMING_CONVENTION), *(Column(name, String) for name in columns)
    )


@pytest.mark.parametrize(
    ("columns", "hidden", "reason"),
    [
        (("id",), (), "no column 'tenant_id'"),
        (("tenant_id",), (), "no column 'id'"),
        (("tenant_id", "id"), ("words",), "no column 'words'"),
    ],
)
def test_a_table_that_cannot_be_audited_is_refused_where_it_is_declared(
    columns: tuple[str, ...], hidden: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(DeclarationError, match=reason):
        keep_audited(table(*columns), hidden=hidden)


def test_the_log_itself_is_not_audited() -> None:
    with pytest.raises(DeclarationError, match="each of its rows would make another one"):
        keep_audited(models.tables["audit_logs"])


def test_names_of_columns_are_written_as_an_array_that_postgresql_reads(connection: Connection) -> None:
    names = ['a"b', "c\\d", "e,f", "{g}", "NULL", ""]

    argument = audit_trigger(models.tables["orders"], names).arguments[0]

    assert connection.scalar(text("SELECT CAST(:names AS text[])"), {"names": argument}) == names


def test_what_is_documented_is_what_the_function_reads() -> None:
    for setting in (USER_SETTING, ADDRESS_SETTING, SILENCE_SETTING):
        assert f"current_setting('{setting}'" in audit_function(AuditTables()).body
    assert f"<= {LARGEST_VALUE} " in audit_function(AuditTables()).body


def test_none_of_our_own_tables_is_audited() -> None:
    """The first revision need not change for it: which tables are worth a log is what an application decides."""
    assert audit_function(AuditTables()) not in declared(models)
