"""Sample data: everything in every table, the same everywhere, all or nothing, and true to itself."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import Connection, event, insert, make_url, select, text
from sqlalchemy.exc import OperationalError

from dbschema.errors import NoTransaction, SeedError, TenantExists
from dbschema.models import Incident, Tenant, metadata
from dbschema.seeds import sample
from dbschema.seeds.sample.companies import Company
from dbschema.seeds.writing import SAMPLE_SLUGS, tenant_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

TENANT_COUNT = 3


@pytest.fixture(scope="module")
def seeded(shared_engine: Engine) -> Iterator[Connection]:
    """A superuser's session in a database with the sample data, for tests that only read."""
    with shared_engine.connect() as connection, connection.begin() as transaction:
        sample.apply(connection)
        yield connection
        transaction.rollback()


def values(connection: Connection, query: str) -> list[object]:
    return list(connection.scalars(text(query)))


def test_every_tenant_has_rows_in_every_table(connection: Connection) -> None:
    written = sample.apply(connection)

    for table in metadata.sorted_tables:
        column = "id" if table.name == "tenants" else "tenant_id"
        owners = connection.execute(text(f"SELECT {column}, count(*) FROM {table.name} GROUP BY 1")).all()
        assert {owner for owner, _ in owners} == {tenant_id(slug) for slug in SAMPLE_SLUGS}, table.name
        assert sum(number for _, number in owners) == written[table.name]


def test_a_second_run_touches_no_row(connection: Connection, rows_of: Callable[..., object]) -> None:
    sample.apply(connection)
    before = rows_of(connection, with_xmin=True)

    written = sample.apply(connection)

    assert set(written.values()) == {0}
    assert rows_of(connection, with_xmin=True) == before


def test_two_databases_have_the_same_rows_whoever_seeds_them(
    connection: Connection,
    new_database: Callable[..., str],
    connect: Callable[..., Connection],
    rows_of: Callable[..., object],
) -> None:
    sample.apply(connection)
    other = connect(new_database(migrated=True))
    other.execute(text("CREATE ROLE sample_writer LOGIN IN ROLE dbschema_app"))
    other.execute(text("SET LOCAL SESSION AUTHORIZATION sample_writer"))
    sample.apply(other)
    other.execute(text("RESET SESSION AUTHORIZATION"))
    other.execute(text("DROP ROLE sample_writer"))
    other.commit()

    assert rows_of(other) == rows_of(connection)


@pytest.mark.parametrize("kind", ["owner", "member"])
def test_a_session_bound_by_row_security_can_seed(
    session_of: Callable[[str], Connection],
    connection: Connection,
    rows_of: Callable[..., dict[str, list[str]]],
    kind: str,
) -> None:
    session = session_of(kind)

    written = sample.apply(session)
    again = sample.apply(session)

    assert {name: len(rows) for name, rows in rows_of(connection).items()} == written
    assert set(again.values()) == {0}


def test_rows_that_the_user_changed_stay_and_rows_that_went_come_back(connection: Connection) -> None:
    sample.apply(connection)
    connection.execute(text("UPDATE orders SET status = 'cancelled'"))
    connection.execute(text("DELETE FROM messages WHERE role = 'system'"))
    connection.commit()

    written = sample.apply(connection)

    assert {name: number for name, number in written.items() if number} == {"messages": TENANT_COUNT}
    assert values(connection, "SELECT DISTINCT status FROM orders") == ["cancelled"]


def test_two_at_once_write_it_once(
    connection: Connection,
    database: str,
    connect: Callable[..., Connection],
    rows_of: Callable[..., dict[str, list[str]]],
) -> None:
    sessions = [connect(database) for _ in range(3)]

    with ThreadPoolExecutor() as pool:
        written = list(pool.map(sample.apply, sessions))

    assert sorted(sum(counts.values()) > 0 for counts in written) == [False, False, True]
    assert sum(len(rows) for rows in rows_of(connection).values()) == sum(
        sum(counts.values()) for counts in written
    )


def test_a_session_that_is_killed_in_the_middle_leaves_nothing(
    database: str,
    connection: Connection,
    connect: Callable[..., Connection],
    rows_of: Callable[..., dict[str, list[str]]],
) -> None:
    victim = connect(database)
    backend = victim.scalar(text("SELECT pg_backend_pid()"))
    victim.rollback()

    @event.listens_for(victim, "before_cursor_execute")
    def kill(_c: object, _u: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO messages"):
            address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(address, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))

    with pytest.raises(OperationalError):
        sample.apply(victim)

    assert not any(rows_of(connection).values())


def test_a_table_that_refuses_rows_leaves_nothing_in_the_others(
    connection: Connection, rows_of: Callable[..., dict[str, list[str]]]
) -> None:
    connection.execute(text("ALTER TABLE onboarding_events ADD CONSTRAINT closed CHECK (false)"))
    connection.commit()

    with pytest.raises(SeedError, match="does not fit what table onboarding_events holds") as caught:
        sample.apply(connection)

    assert "\n" not in str(caught.value)
    assert not any(rows_of(connection).values())


def test_a_transaction_of_the_caller_is_the_callers_to_end(
    connection: Connection, rows_of: Callable[..., dict[str, list[str]]]
) -> None:
    connection.execute(text("SELECT 1"))
    sample.apply(connection)

    connection.rollback()

    assert not any(rows_of(connection).values())


def test_a_slug_that_somebody_else_has_is_named(
    connection: Connection, rows_of: Callable[..., dict[str, list[str]]]
) -> None:
    connection.execute(insert(Tenant).values(tenant_name="Another", slug=SAMPLE_SLUGS[-1]))
    connection.commit()

    with pytest.raises(TenantExists) as caught:
        sample.apply(connection)

    assert (caught.value.key, caught.value.value) == ("slug", SAMPLE_SLUGS[-1])
    assert len(rows_of(connection)["tenants"]) == 1


def test_autocommit_is_refused(database: str, connect: Callable[..., Connection]) -> None:
    with pytest.raises(NoTransaction):
        sample.apply(connect(database, isolation_level="AUTOCOMMIT"))


@pytest.mark.parametrize("slug", SAMPLE_SLUGS)
def test_every_place_lies_within_its_city(seeded: Connection, slug: str) -> None:
    company = Company.read(slug)
    west, south, east, north = company.bounds

    places = [
        *seeded.scalars(select(Incident.location).where(Incident.tenant_id == company.tenant_id)),
        *[place.point for place in (*company.places, *company.warehouses)],
    ]

    assert len(places) > 50
    assert east - west < 0.6
    assert north - south < 0.3
    assert all(west < place.longitude < east and south < place.latitude < north for place in places)


def test_incidents_lie_in_clusters(seeded: Connection) -> None:
    """Else the nearest ones to a place would be no more interesting than any."""
    neighbours = values(
        seeded,
        "SELECT (SELECT count(*) FROM incidents b WHERE b.tenant_id = a.tenant_id AND b.id <> a.id"
        " AND ST_DWithin(a.location, b.location, 300)) FROM incidents a",
    )

    assert sum(number > 0 for number in neighbours) > 0.7 * len(neighbours)
    assert 0 in neighbours


@pytest.mark.parametrize(
    "contradiction",
    [
        (
            "SELECT i.id FROM incidents i WHERE NOT EXISTS (SELECT FROM domain_configurations d WHERE"
            " (d.tenant_id, d.domain_id) = (i.tenant_id, i.domain_id))"
        ),
        "SELECT i.id FROM incidents i WHERE occurred_at > created_at OR title IS NULL OR raw_text LIKE '%{%'",
        (
            "SELECT o.id FROM orders o WHERE status IN ('pending', 'cancelled') AND EXISTS"
            " (SELECT FROM fulfillment f WHERE f.order_id = o.id)"
        ),
        (
            "SELECT o.id FROM orders o WHERE status NOT IN ('pending', 'cancelled') AND NOT EXISTS"
            " (SELECT FROM fulfillment f WHERE f.order_id = o.id)"
        ),
        (
            "SELECT o.id FROM orders o JOIN fulfillment f ON f.order_id = o.id WHERE (o.status, f.status) NOT IN"
            " (('paid', 'processing'), ('shipped', 'shipped'), ('delivered', 'delivered'), ('refunded', 'returned'))"
        ),
        (
            "SELECT f.id FROM fulfillment f JOIN orders o ON o.id = f.order_id WHERE f.shipped_at <= o.ordered_at"
            " OR f.created_at < o.ordered_at OR (f.delivered_at IS NOT NULL) <> (f.status IN ('delivered', 'returned'))"
        ),
        "SELECT id FROM orders WHERE total_amount = 0",
        "SELECT id FROM marketing_campaigns WHERE spend > budget OR conversions > clicks OR (status = 'draft' AND spend > 0)",
        (
            "SELECT m.id FROM messages m JOIN messages n ON n.conversation_id = m.conversation_id AND n.id <> m.id"
            " AND n.created_at = m.created_at"
        ),
        (
            "SELECT c.id FROM conversations c WHERE updated_at <> (SELECT max(created_at) FROM messages m"
            " WHERE m.conversation_id = c.id)"
        ),
        (
            "SELECT t.id FROM teams t, jsonb_array_elements_text(members) m WHERE NOT EXISTS"
            " (SELECT FROM users u WHERE u.tenant_id = t.tenant_id AND u.id = m::uuid)"
        ),
        (
            "SELECT e.id FROM onboarding_events e JOIN onboarding_sessions s ON s.id = e.session_id"
            " WHERE e.received_at < s.started_at OR e.processed_at < e.received_at OR s.completed_at < e.received_at"
        ),
        "SELECT id FROM onboarding_sessions WHERE (status IN ('completed', 'failed', 'abandoned')) <> (completed_at IS NOT NULL)",
        (
            "SELECT a.id FROM audit_logs a WHERE NOT EXISTS (SELECT FROM orders WHERE id::text = resource_id)"
            " AND NOT EXISTS (SELECT FROM incidents WHERE id::text = resource_id)"
            " AND NOT EXISTS (SELECT FROM users WHERE id::text = resource_id)"
            " AND NOT EXISTS (SELECT FROM governance_rules WHERE id::text = resource_id)"
        ),
        "SELECT a.id FROM audit_logs a JOIN users u ON u.id = a.user_id WHERE NOT u.is_active",
        "SELECT id FROM users WHERE email !~ '@example\\.com$'",
        "SELECT id FROM orders WHERE customer_email !~ '@example\\.com$'",
    ],
)
def test_the_rows_do_not_contradict_each_other(seeded: Connection, contradiction: str) -> None:
    assert values(seeded, contradiction) == []


@pytest.mark.parametrize(
    "table", [table.name for table in metadata.sorted_tables if "updated_at" in table.columns]
)
def test_no_row_was_changed_before_it_was_made(seeded: Connection, table: str) -> None:
    assert values(seeded, f"SELECT id FROM {table} WHERE updated_at < created_at") == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("users", "role"),
        ("incidents", "status"),
        ("orders", "status"),
        ("marketing_campaigns", "status"),
        ("onboarding_sessions", "status"),
        ("onboarding_events", "source"),
        ("messages", "role"),
        ("agent_definitions", "agent_class"),
        ("projects", "status"),
        ("user_transactions", "transaction_type"),
    ],
)
def test_every_state_can_be_seen(seeded: Connection, table: str, column: str) -> None:
    known = {member.value for member in metadata.tables[table].columns[column].type.enum}

    assert set(values(seeded, f"SELECT DISTINCT {column} FROM {table}")) == known


def test_nothing_in_it_is_later_than_the_sample_itself(seeded: Connection) -> None:
    """Times are fixed: a clock in a default would give other rows in each database."""
    for table in metadata.sorted_tables:
        latest = values(seeded, f"SELECT max(created_at)::text FROM {table.name}")[0]
        assert re.match(r"2026-0[3-6]-", str(latest)), table.name
