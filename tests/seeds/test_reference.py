"""Reference data: complete, the same everywhere, never overwriting, and never a silent nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select, text, update

from dbschema.errors import MissingPrivilege, NoSuchTenant, NotMigrated, NoTransaction, TenantsHidden
from dbschema.models import (
    AgentDefinition,
    DomainConfiguration,
    RoleMetricVisibility,
    Tenant,
    UserRole,
    metadata,
)
from dbschema.seeds import reference

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, SECOND = UUID(int=1), UUID(int=2)


def add_tenants(connection: Connection, *ids: UUID) -> None:
    for number, tenant in enumerate(ids):
        connection.execute(insert(Tenant).values(id=tenant, tenant_name="Some shop", slug=f"shop-{number}"))
    connection.commit()


@pytest.fixture
def tenants(connection: Connection) -> Connection:
    """A superuser's session in a database with two tenants."""
    add_tenants(connection, FIRST, SECOND)
    return connection


def count(connection: Connection, table: str) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def test_every_tenant_gets_every_metric_for_the_four_roles(tenants: Connection) -> None:
    written = reference.apply(tenants)

    table = RoleMetricVisibility
    rows = tenants.execute(select(table.tenant_id, table.role, table.metric_name, table.is_visible)).all()
    metrics = {row.metric_name for row in rows}
    assert {(row.tenant_id, row.role, row.metric_name) for row in rows} == {
        (tenant, role, metric)
        for tenant in (FIRST, SECOND)
        for role in (UserRole.FINANCE, UserRole.OPERATIONS, UserRole.MARKETING, UserRole.ADMIN)
        for metric in metrics
    }
    assert all(row.is_visible for row in rows if row.role is UserRole.ADMIN)
    assert {row.role for row in rows if not row.is_visible} == {
        UserRole.FINANCE,
        UserRole.OPERATIONS,
        UserRole.MARKETING,
    }
    assert written["role_metric_visibility"] == len(rows)


def test_there_is_a_built_in_agent_of_each_class(tenants: Connection) -> None:
    reference.reference_for(tenants, FIRST)

    agents = tenants.execute(select(AgentDefinition.agent_class, AgentDefinition.is_inbuilt)).all()
    assert {agent.agent_class.value for agent in agents} == {"ingestion", "query", "management"}
    assert all(agent.is_inbuilt for agent in agents)


def test_playbooks_name_agents_that_exist_in_the_order_of_what_they_read(tenants: Connection) -> None:
    reference.reference_for(tenants, FIRST)

    agents = {row.agent_id: row for row in tenants.execute(select(AgentDefinition.__table__))}
    domains = tenants.execute(select(DomainConfiguration.__table__)).all()
    assert domains
    for domain in domains:
        for kind in ("ingestion", "query", "management"):
            done: set[str] = set()
            for step in getattr(domain, f"{kind}_playbook")["steps"]:
                agent = agents[step["agent_id"]]
                assert agent.agent_class.value == kind
                assert agent.enabled
                assert step["reads"] == agent.agent_dependencies
                assert done.issuperset(step["reads"])
                done.add(agent.agent_id)
            assert done


def test_an_agent_gives_no_more_keys_than_it_may(tenants: Connection) -> None:
    reference.reference_for(tenants, FIRST)

    for agent in tenants.execute(select(AgentDefinition.__table__)):
        assert 0 < len(agent.output_schema["properties"]) <= agent.max_output_keys
        assert set(agent.output_schema["required"]) == set(agent.output_schema["properties"])


def test_a_second_run_touches_no_row(tenants: Connection, rows_of: Callable[..., object]) -> None:
    first = reference.apply(tenants)
    before = rows_of(tenants, with_xmin=True)

    second = reference.apply(tenants)

    assert sum(first.values()) > 0
    assert second == {table.name: 0 for table in metadata.sorted_tables}
    assert rows_of(tenants, with_xmin=True) == before


def test_what_a_tenant_has_changed_stays(tenants: Connection, rows_of: Callable[..., object]) -> None:
    reference.apply(tenants)
    tenants.execute(update(RoleMetricVisibility).values(is_visible=False))
    tenants.execute(update(AgentDefinition).values(system_prompt="Ours.", enabled=False))
    tenants.commit()
    before = rows_of(tenants, with_xmin=True)

    reference.apply(tenants)

    assert rows_of(tenants, with_xmin=True) == before


def test_what_a_tenant_has_lost_comes_back(tenants: Connection) -> None:
    reference.apply(tenants)
    tenants.execute(text("DELETE FROM agent_definitions WHERE agent_id = 'dispatcher'"))
    tenants.commit()

    written = reference.apply(tenants)

    assert written["agent_definitions"] == 2
    assert sum(written.values()) == 2


def test_ids_follow_from_the_tenant_alone() -> None:
    first, again, other = (
        [row["id"] for table in reference.rows_for(tenant).values() for row in table]
        for tenant in (FIRST, FIRST, SECOND)
    )

    assert first == again
    assert len({*first, *other}) == 2 * len(first)


def test_one_tenant_is_served_and_no_other(tenants: Connection) -> None:
    reference.reference_for(tenants, SECOND)

    assert set(tenants.scalars(select(AgentDefinition.tenant_id))) == {SECOND}


def test_an_unknown_tenant_is_refused_and_nothing_is_written(tenants: Connection) -> None:
    stranger = uuid4()

    with pytest.raises(NoSuchTenant) as caught:
        reference.apply(tenants, [FIRST, stranger])

    assert caught.value.tenant == stranger
    assert count(tenants, "agent_definitions") == 0


@pytest.mark.parametrize("kind", ["owner", "member"])
def test_a_session_bound_by_row_security_serves_the_tenants_that_are_named(
    tenants: Connection, session_of: Callable[[str], Connection], kind: str
) -> None:
    session = session_of(kind)

    written = reference.apply(session, [FIRST, SECOND])

    assert written["domain_configurations"] == 2
    assert count(tenants, "domain_configurations") == 2


@pytest.mark.parametrize("kind", ["owner", "member"])
def test_a_session_bound_by_row_security_does_not_report_success_for_tenants_it_cannot_see(
    tenants: Connection, session_of: Callable[[str], Connection], kind: str
) -> None:
    """Under forced row-level security the list of tenants is empty, for the tables' owner too."""
    session = session_of(kind)

    with pytest.raises(TenantsHidden) as caught:
        reference.apply(session)

    assert caught.value.role.startswith(kind)


@pytest.mark.parametrize("kind", ["owner", "member", "superuser"])
def test_without_any_tenant_there_is_nothing_to_do(
    session_of: Callable[[str], Connection], kind: str
) -> None:
    session = session_of(kind)

    written = reference.apply(session)

    assert set(written.values()) == {0}


def test_the_tenant_that_a_session_has_set_is_served(
    tenants: Connection, session_of: Callable[[str], Connection]
) -> None:
    session = session_of("member")
    session.execute(text(f"SET app.tenant_id = '{SECOND}'"))
    session.commit()

    reference.apply(session)

    assert set(tenants.scalars(select(AgentDefinition.tenant_id))) == {SECOND}


def test_the_tenant_that_was_set_before_is_set_afterwards(tenants: Connection) -> None:
    tenants.execute(text(f"SET LOCAL app.tenant_id = '{FIRST}'"))

    reference.apply(tenants, [SECOND])

    assert tenants.scalar(text("SELECT current_setting('app.tenant_id')")) == str(FIRST)


def test_a_transaction_of_the_caller_is_the_callers_to_end(tenants: Connection) -> None:
    tenants.execute(text("SELECT 1"))
    reference.apply(tenants)

    tenants.rollback()

    assert count(tenants, "agent_definitions") == 0


def test_a_failure_leaves_the_transaction_of_the_caller_usable(tenants: Connection) -> None:
    tenants.execute(text("UPDATE tenants SET tenant_name = 'Kept'"))

    with pytest.raises(NoSuchTenant):
        reference.apply(tenants, [uuid4()])
    tenants.commit()

    assert tenants.scalar(text("SELECT DISTINCT tenant_name FROM tenants")) == "Kept"


def test_autocommit_is_refused(database: str, connect: Callable[..., Connection]) -> None:
    with pytest.raises(NoTransaction):
        reference.apply(connect(database, isolation_level="AUTOCOMMIT"), [FIRST])


def test_a_database_without_the_tables_is_named_as_such(
    fresh_database: str, connect: Callable[..., Connection]
) -> None:
    with pytest.raises(NotMigrated, match=r"^Table tenants .*\. Run 'dbschema upgrade' first\.$"):
        reference.apply(connect(fresh_database), [FIRST])


def test_a_role_that_may_not_write_is_told_so(
    tenants: Connection, session_of: Callable[[str], Connection]
) -> None:
    session = session_of("reader")

    with pytest.raises(MissingPrivilege, match="GRANT dbschema_app") as caught:
        reference.apply(session, [FIRST])

    assert caught.value.table in {"agent_definitions", "role_metric_visibility"}
    assert "\n" not in str(caught.value)
