"""A database with enough rows that plans are those of life, and connections that act for one of its tenants."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import Connection, NullPool, create_engine, text

from dbschema.ddl.tenancy import APP_ROLE, TENANT_SETTING
from dbschema.testing.plans import serves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    from pytest_postgresql.executors import NoopExecutor
    from sqlalchemy import Engine, Select

IDS = {
    name: UUID(f"00000000-0000-7000-8000-{number:012x}")
    for name, number in {"large": 1, "small": 2, "without rows": 14}.items()
}
TENANTS = 12
ROWS = 60_000
SPREAD = """
(SELECT n, ('00000000-0000-7000-8000-' || lpad(to_hex(
     CASE WHEN n % 10 < 3 THEN 1 WHEN n % 60 = 3 THEN 2 ELSE 3 + n % 10 END), 12, '0'))::uuid AS tenant_id
 FROM generate_series(1, {count}) n) spread
"""
FILL = (
    "SET session_replication_role = replica",
    "SELECT setseed(0.5)",
    """INSERT INTO tenants (id, tenant_name, slug)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Tenant ' || n, 'tenant-' || n
    FROM generate_series(1, 14) n""",
    f"""INSERT INTO incidents (tenant_id, id, domain_id, status, severity, location, structured_data, created_at)
    SELECT tenant_id, gen_random_uuid(), 'domain-' || n % 7,
           (ARRAY['open', 'in_progress', 'resolved', 'closed'])[1 + n % 4], 1 + n % 5,
           ST_SetSRID(ST_MakePoint(6 + random() * 4, 46 + random() * 2), 4326)::geography,
           jsonb_build_object('category', 'c' || n % 50, 'code', floor(random() * 2000)::int),
           timestamptz '2026-01-01 00:00+00' + (n / 3) * interval '1 second'
    FROM {SPREAD.format(count=ROWS)}""",
    f"""INSERT INTO documents (tenant_id, id, user_id, title, content, created_at)
    SELECT tenant_id, gen_random_uuid(), tenant_id, 'Document ' || n,
           (SELECT string_agg('w' || floor(random() * 3000)::int, ' ') FROM generate_series(1, 10 + n % 2)),
           timestamptz '2026-01-01 00:00+00' + (n / 3) * interval '1 second'
    FROM {SPREAD.format(count=ROWS // 4)}""",
    f"""INSERT INTO messages (tenant_id, id, conversation_id, role, content, created_at)
    SELECT tenant_id, gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(to_hex(n / 10 % 80), 12, '0'))::uuid, 'user',
           'said', timestamptz '2026-01-01 00:00+00' + (n / 3) * interval '1 second'
    FROM {SPREAD.format(count=ROWS // 2)}""",
    f"""INSERT INTO audit_logs (tenant_id, id, action, resource_type, resource_id, created_at)
    SELECT tenant_id, gen_random_uuid(), 'incident.update', 'incident', (n / 10 % 200)::text,
           timestamptz '2026-01-01 00:00+00' + (n / 3) * interval '1 second'
    FROM {SPREAD.format(count=ROWS // 2)}""",
    "SET session_replication_role = origin",
)


@pytest.fixture(scope="session")
def filled(server: object, migrated: NoopExecutor) -> Iterator[Engine]:
    """An engine of the superuser for a database with 60,000 incidents of 12 tenants, and two that have none."""
    janitor = DatabaseJanitor(
        user=server.user,  # type: ignore[attr-defined]  # TestServer, which conftest does not export
        password=server.password,  # type: ignore[attr-defined]
        host=server.host,  # type: ignore[attr-defined]
        port=server.port,  # type: ignore[attr-defined]
        dbname=f"filled_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}",
        template_dbname=migrated.template_dbname,
    )
    janitor.drop()
    with janitor:
        engine = create_engine(server.url(janitor.dbname), poolclass=NullPool)  # type: ignore[attr-defined]
        with engine.begin() as connection:
            for statement in FILL:
                connection.execute(text(statement))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Or autovacuum does it at a moment of its own: a GIN index is read at other costs before and after.
            connection.execute(text("VACUUM (ANALYZE)"))
        yield engine
        engine.dispose()


def act(connection: Connection, tenant: UUID | None) -> Connection:
    """Let a connection of the superuser act as the application for `tenant`, until its transaction ends."""
    connection.execute(text(f"SET LOCAL ROLE {APP_ROLE.name}"))
    if tenant is not None:
        connection.execute(text(f"SET LOCAL {TENANT_SETTING} = '{tenant}'"))
    return connection


@pytest.fixture
def acting(filled: Engine) -> Iterator[Callable[..., Connection]]:
    """Gives a connection that acts as the application for a tenant of `IDS`; what it did is rolled back."""
    with filled.connect() as connection, connection.begin():

        def begin(tenant: str | None) -> Connection:
            connection.execute(text("RESET ROLE"))
            return act(connection, None if tenant is None else IDS[tenant])

        yield begin
        connection.rollback()


# What PostgreSQL really did for a statement, inside its functions too: told by auto_explain, as notices.

SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "client_min_messages": "notice",
}


def plans(connection: Connection, statement: Select[Any], *, generic: bool = False) -> list[dict[str, Any]]:
    """Run `statement` as the role that `connection` has, and give the plan of each query that was run for it.

    Args:
        connection: of a superuser, who may have another role for the moment; loading auto_explain is his right.
        statement: what to run.
        generic: as a prepared statement with a plan that knows no arguments, as it becomes after a few runs.
    """
    raw: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    compiled = statement.compile(dialect=connection.dialect)
    values = {
        name: compiled._bind_processors.get(name, lambda value: value)(value)
        for name, value in compiled.params.items()
    }
    with explained(raw) as told:
        if generic:
            raw.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        raw.execute(str(compiled), values, prepare=generic)
    return told


@contextmanager
def explained(raw: psycopg.Connection[Any]) -> Iterator[list[dict[str, Any]]]:
    """While this lasts, the list fills with the plans of what is run."""
    told: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        _, found, plan = (diagnostic.message_primary or "").partition("plan:\n")
        if found:
            told.append(json.loads(plan))

    (role,) = raw.execute("SELECT current_user").fetchone() or ("",)
    raw.execute("RESET ROLE; LOAD 'auto_explain'")
    for name, value in SETTINGS.items():
        raw.execute(f"SET LOCAL {name} = '{value}'")
    raw.execute(f'SET LOCAL ROLE "{role}"')
    told.clear()
    raw.add_notice_handler(note)
    try:
        yield told
    finally:
        # The plan of the last statement is told when the next one takes its place.
        raw.execute("RESET ROLE; SET LOCAL auto_explain.log_min_duration = -1")
        raw.execute(f'SET LOCAL ROLE "{role}"')
        raw.remove_notice_handler(note)


def nodes(found: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every node of the plans."""
    for plan in found:
        yield from _nodes(plan["Plan"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def assert_uses_index(
    connection: Connection, statement: Select[Any], index: str, *, generic: bool = False
) -> None:
    """Fail unless `statement` finds its rows by `index`, without reading a table from end to end.

    To find the tenant's rows is not enough: every index that begins with the tenant does that.
    """
    found = plans(connection, statement, generic=generic)
    everything = list(nodes(found))
    used = {node["Index Name"] for node in everything if "Index Name" in node and serves(node, ordered=False)}
    scanned = {node["Relation Name"] for node in everything if node["Node Type"] == "Seq Scan"}
    assert index in used, f"{index} is not used, but {sorted(used) or 'none'}: {json.dumps(found, indent=1)}"
    assert not scanned, f"{sorted(scanned)} read from end to end: {json.dumps(found, indent=1)}"


@pytest.fixture(scope="session")
def ids() -> dict[str, UUID]:
    """The tenants of `filled` by what they are."""
    return IDS


@pytest.fixture(scope="session", name="act")
def act_fixture() -> Callable[..., Connection]:
    """`act`, for tests."""
    return act


@pytest.fixture(scope="session", name="plans")
def plans_fixture() -> Callable[..., list[dict[str, Any]]]:
    """`plans`, for tests."""
    return plans


@pytest.fixture(scope="session", name="nodes")
def nodes_fixture() -> Callable[..., Iterator[dict[str, Any]]]:
    """`nodes`, for tests."""
    return nodes


@pytest.fixture(scope="session", name="assert_uses_index")
def assert_uses_index_fixture() -> Callable[..., None]:
    """`assert_uses_index`, for tests."""
    return assert_uses_index
