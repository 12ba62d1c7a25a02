"""The tables keep the rules of SCHEMA.md, read from the models and from a migrated database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Table, UniqueConstraint, text

from dbschema.models import Base
from dbschema.orm.types import Checked
from dbschema.sql import check_names, names_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

TABLES = list(Base.metadata.sorted_tables)
TENANT_TABLES = [table for table in TABLES if table.name != "tenants"]
by_name = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
by_tenant_table = pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda table: table.name)

UPDATED = {
    "tenants", "users", "teams", "agent_definitions", "domain_configurations", "incidents", "orders", "fulfillment",
    "marketing_campaigns", "role_metric_visibility", "governance_rules", "conversations", "onboarding_sessions",
    "user_transactions", "projects",
}  # fmt: skip
SPECIFIED = UPDATED | {
    "audit_logs", "documents", "image_evidence", "messages", "onboarding_events", "user_events",
}  # fmt: skip
NAMED_INDEXES = {
    "agent_definitions": {"idx_agents_tenant_class", "idx_agents_enabled", "idx_agents_tenant"},
    "domain_configurations": {"idx_domains_tenant"},
    "incidents": {
        "idx_incidents_tenant_domain",
        "idx_incidents_created_at",
        "idx_incidents_structured_data",
        "idx_incidents_location",
    },
    "image_evidence": {"idx_image_evidence_incident", "idx_image_evidence_tenant"},
}


def test_the_21_tables_of_the_specification_are_there() -> None:
    assert len(SPECIFIED) == 21
    assert {table.name for table in TABLES} >= SPECIFIED


def test_agent_definitions_has_exactly_its_17_columns() -> None:
    assert set(Base.metadata.tables["agent_definitions"].columns.keys()) == {
        "id", "agent_id", "tenant_id", "agent_name", "agent_class", "system_prompt", "tools", "agent_dependencies",
        "max_output_keys", "output_schema", "description", "enabled", "is_inbuilt", "version", "created_by",
        "created_at", "updated_at",
    }  # fmt: skip


def test_domain_configurations_has_exactly_its_11_columns() -> None:
    assert set(Base.metadata.tables["domain_configurations"].columns.keys()) == {
        "id", "domain_id", "tenant_id", "domain_name", "description", "ingestion_playbook", "query_playbook",
        "management_playbook", "created_by", "created_at", "updated_at",
    }  # fmt: skip


@by_tenant_table
def test_tenant_and_id_come_first_and_are_the_key(table: Table) -> None:
    assert [column.name for column in table.columns][:2] == ["tenant_id", "id"]
    assert [column.name for column in table.primary_key] == ["tenant_id", "id"]


@by_tenant_table
def test_foreign_keys_between_tenant_tables_are_composite_and_cascade_or_nothing(table: Table) -> None:
    for key in table.foreign_key_constraints:
        assert key.ondelete in {None, "CASCADE"}
        assert key.onupdate is None
        if key.referred_table.name != "tenants":
            assert key.column_keys[0] == "tenant_id"
            assert [element.column.name for element in key.elements] == ["tenant_id", "id"]
            nullable = table.columns[key.column_keys[1]].nullable
            assert not (nullable and key.ondelete == "CASCADE")


@by_tenant_table
def test_every_row_goes_with_its_tenant(table: Table) -> None:
    """By a key to the tenant, or by a chain of cascading keys that are NOT NULL."""

    def goes(table: Table) -> bool:
        return any(
            key.ondelete == "CASCADE" and (key.referred_table.name == "tenants" or goes(key.referred_table))
            for key in table.foreign_key_constraints
        )

    assert goes(table)


@by_tenant_table
def test_a_key_to_the_tenant_stands_only_where_none_implies_it(table: Table) -> None:
    cascading = {
        key.referred_table.name for key in table.foreign_key_constraints if key.ondelete == "CASCADE"
    }

    assert cascading in ({"tenants"}, {"tenants", "incidents"}) or "tenants" not in cascading


@by_tenant_table
def test_nothing_cascades_across_domains(table: Table) -> None:
    modules = {mapper.local_table.name: mapper.class_.__module__ for mapper in Base.registry.mappers}

    for key in table.foreign_key_constraints:
        if key.ondelete == "CASCADE" and key.referred_table.name != "tenants":
            assert modules[table.name] == modules[key.referred_table.name]


@by_name
def test_every_foreign_key_has_an_index_that_serves_it(table: Table) -> None:
    served = [[column.name for column in table.primary_key]]
    served += [[getattr(e, "name", "") for e in index.expressions] for index in table.indexes]
    served += [[c.name for c in uq.columns] for uq in table.constraints if isinstance(uq, UniqueConstraint)]

    for key in table.constraints:
        if isinstance(key, ForeignKeyConstraint):
            columns = list(key.column_keys)
            assert any(index[: len(columns)] == columns for index in served), key.name


@by_tenant_table
def test_unique_constraints_start_with_the_tenant(table: Table) -> None:
    uniques = [uq for uq in table.constraints if isinstance(uq, UniqueConstraint)]
    uniques += [index for index in table.indexes if index.unique]

    assert all(next(iter(unique.columns)).name == "tenant_id" for unique in uniques)


@by_tenant_table
def test_each_table_has_its_named_indexes_all_led_by_the_tenant(table: Table) -> None:
    assert {index.name for index in table.indexes} >= NAMED_INDEXES.get(table.name, set())
    for index in table.indexes:
        first = next(iter(index.expressions))
        assert getattr(first, "name", None) == "tenant_id" or index.name == "idx_incidents_structured_data"


@by_name
def test_ids_are_time_ordered_insert_sentinels_with_a_default_in_the_database(table: Table) -> None:
    column = table.columns["id"]

    assert str(column.server_default.arg) == "gen_random_uuid()"  # type: ignore[union-attr]
    assert column.default is not None
    assert column._insert_sentinel


@by_name
def test_every_table_and_column_has_a_comment(table: Table) -> None:
    """The id, and what its own name says whole, need none."""
    evident = {"id", "description", "team_name", "title", "project_name"}

    assert table.comment
    assert {column.name for column in table.columns if not column.comment} <= evident


@by_name
def test_every_table_says_how_it_is_distributed(table: Table) -> None:
    assert table.info["distribution"] == ("reference" if table.name == "tenants" else "tenant")


@by_name
def test_names_follow_the_convention(table: Table) -> None:
    for constraint in table.constraints:
        prefix = {"PrimaryKeyConstraint": "pk", "ForeignKeyConstraint": "fk", "UniqueConstraint": "uq"}.get(
            type(constraint).__name__, "ck"
        )
        assert isinstance(constraint.name, str)
        if prefix in {"fk", "uq"}:
            columns = "_".join(column.name for column in constraint.columns)
            assert constraint.name == f"{prefix}_{table.name}_{columns}"
        else:
            assert re.match(rf"{prefix}_{table.name}", f"{constraint.name}") or isinstance(
                constraint, CheckConstraint
            )
    for index in table.indexes:
        assert str(index.name).startswith("idx_")


def test_no_name_is_longer_than_63_bytes() -> None:
    check_names(Base.metadata)

    assert max(len(name.encode()) for _, name, _ in names_of(Base.metadata)) <= 63


@by_name
def test_closed_sets_and_json_have_their_checks(table: Table) -> None:
    checks = {str(check.name) for check in table.constraints if isinstance(check, CheckConstraint)}

    for column in table.columns:
        if isinstance(column.type, Checked):
            assert {column.name, f"ck_{table.name}_{column.name}"} & checks, column


@by_name
def test_times_know_their_zone_and_money_its_cents(table: Table, connection: Connection) -> None:
    rows = connection.execute(
        text(
            "SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = :table"
        ),
        {"table": table.name},
    )

    for name, kind, precision, scale in rows:
        assert kind != "timestamp without time zone", name
        if kind == "numeric":
            assert (precision, scale) == (12, 2), name


def test_each_table_with_updated_at_has_its_trigger(connection: Connection) -> None:
    updated = {table.name for table in TABLES if "updated_at" in table.columns}
    rows = connection.execute(
        text(
            "SELECT t.tgrelid::regclass::text, t.tgname, t.tgfoid::regproc::text, t.tgenabled, t.tgtype"
            " FROM pg_trigger t WHERE t.tgname LIKE 'update\\_%\\_updated\\_at' AND NOT t.tgisinternal"
        )
    ).all()

    assert updated & SPECIFIED == UPDATED
    assert {row[0] for row in rows} == updated
    # tgtype 19: row (1), before (2), update (16).
    assert {row[1:] for row in rows} == {
        (f"update_{table}_updated_at", "update_updated_at_column", "O", 19) for table in updated
    }


def test_all_tables_have_row_security_enabled_and_forced_and_its_policies(connection: Connection) -> None:
    """One for everybody, one that holds for operators alone, and where there are searches, one for their role."""
    rows = connection.execute(
        text(
            "SELECT c.relname, p.polname, p.polcmd, p.polpermissive,"
            " array(SELECT coalesce(nullif(role, 0)::regrole::text, 'PUBLIC') FROM unnest(p.polroles) role),"
            " pg_get_expr(p.polqual, p.polrelid) = 'true', pg_get_expr(p.polwithcheck, p.polrelid) = 'true'"
            " FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
            " WHERE c.relrowsecurity AND c.relforcerowsecurity"
        )
    ).all()

    assert {row[0] for row in rows} == {table.name for table in TABLES}
    rows_of_searches = [row for row in rows if row[1] == "search_functions"]
    assert len(rows) == 2 * len(TABLES) + len(rows_of_searches)
    assert {row[0] for row in rows_of_searches} == {"documents", "incidents"}
    assert {(*row[1:4], *row[4], *row[5:]) for row in rows} == {
        ("tenant_isolation", "*", True, "PUBLIC", False, False),
        ("operator_access", "*", True, "dbschema_operator", True, True),
        ("search_functions", "r", True, "dbschema_search", True, None),
    }


def test_the_roles_have_their_privileges_and_nobody_else_any(connection: Connection) -> None:
    rows = connection.execute(
        text(
            "SELECT c.relname, coalesce(r.rolname, 'PUBLIC'), string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type)"
            " FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
            " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner"
            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') GROUP BY 1, 2"
        )
    ).all()

    expected = {(table.name, "dbschema_readonly", "SELECT") for table in TABLES}
    expected |= {(name, "dbschema_search", "SELECT") for name in ("documents", "incidents")}
    for role in ("dbschema_app", "dbschema_operator"):
        expected |= {(table.name, role, "DELETE INSERT SELECT UPDATE") for table in TABLES}
        expected -= {("audit_logs", role, "DELETE INSERT SELECT UPDATE")}
        expected |= {("audit_logs", role, "INSERT SELECT")}
    assert {tuple(row) for row in rows} == expected


def test_no_function_of_ours_can_be_executed_by_everybody(connection: Connection) -> None:
    rows = connection.execute(
        text(
            "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
            " AND has_function_privilege('public', p.oid, 'EXECUTE')"
        )
    ).all()

    assert rows == []


def test_the_group_roles_are_harmless(connection: Connection) -> None:
    rows = connection.execute(
        text(
            "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolconfig"
            " FROM pg_roles WHERE rolname IN ('dbschema_app', 'dbschema_operator', 'dbschema_readonly') ORDER BY 1"
        )
    ).all()

    assert [tuple(row) for row in rows] == [
        ("dbschema_app", False, False, False, False, False, ["jit=off"]),
        ("dbschema_operator", False, False, False, False, False, ["jit=off"]),
        ("dbschema_readonly", False, False, False, False, False, ["jit=off"]),
    ]


def test_indexes_that_row_security_needs_have_their_shape(connection: Connection) -> None:
    rows = connection.execute(
        text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    ).all()
    definitions = {name: definition.partition(" USING ")[2] for name, definition in rows}

    assert definitions["idx_incidents_location"] == "gist (tenant_id, location)"
    assert definitions["idx_incidents_structured_data"] == "gin (tenant_id, structured_data jsonb_path_ops)"
    assert definitions["idx_incidents_created_at"] == "btree (tenant_id, created_at DESC, id)"
    assert definitions["idx_incidents_tenant_domain"] == "btree (tenant_id, domain_id, created_at DESC)"
    assert definitions["idx_agents_enabled"].endswith("WHERE enabled")


def test_an_index_is_an_index() -> None:
    """The helper tests above read `Index.expressions`; a change of SQLAlchemy's would make them vacuous."""
    assert all(
        isinstance(index, Index) and list(index.expressions) for table in TABLES for index in table.indexes
    )
