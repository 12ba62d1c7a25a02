"""Each kind of damage to a deployed database makes exactly the lines ✗ that speak of it.

Every case is verified as a superuser, who compares catalog with catalog; what the application's role finds in the
catalog, which may not build the models and compares with their snapshot, is asked as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, text
from tests.verify.ours import run as run_ours

from dbschema.models import metadata
from dbschema.tools.application import load_snapshot
from dbschema.verify import roles, running, structure
from dbschema.verify.report import GROUPS, STRUCTURE, Recorder

if TYPE_CHECKING:
    from dbschema import verify


@dataclass(frozen=True)
class Case:
    """A damage, and the lines that must speak of it.

    Args:
        sql: the damage, a statement a line.
        lines: those that fail, as "group: name".
        superuser: those that fail beside them where a superuser asks.
        spreads: no row can be written any more, so that other lines fail as well.
    """

    name: str
    sql: str
    lines: tuple[str, ...]
    superuser: tuple[str, ...] = ()
    spreads: bool = False


FORGETFUL = "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path TO pg_catalog AS {body}"
NO_OP = "$$BEGIN RETURN NEW; END$$"
TIMESTAMPED = (
    "tenants",
    "users",
    "teams",
    "agent_definitions",
    "domain_configurations",
    "incidents",
    "orders",
    "fulfillment",
    "marketing_campaigns",
    "role_metric_visibility",
    "governance_rules",
    "conversations",
    "onboarding_sessions",
    "user_transactions",
    "projects",
)

CASES = [
    Case(
        "a policy is dropped",
        "DROP POLICY tenant_isolation ON orders",
        ("policies: tenant_isolation on orders", "isolation: orders"),
        spreads=True,
    ),
    Case(
        "a policy lets everything through",
        "ALTER POLICY tenant_isolation ON orders USING (true) WITH CHECK (true)",
        ("policies: tenant_isolation on orders", "isolation: orders"),
    ),
    Case(
        "a policy checks no new rows",
        "ALTER POLICY tenant_isolation ON teams WITH CHECK (true)",
        ("policies: tenant_isolation on teams", "isolation: teams"),
    ),
    Case(
        "a second policy opens the table",
        "CREATE POLICY support ON users USING (true)",
        ("policies: support on users", "isolation: users"),
    ),
    Case(
        "a policy lets rows in where no tenant is set",
        (
            "CREATE POLICY open_door ON teams FOR INSERT"
            " WITH CHECK (nullif(current_setting('app.tenant_id', true), '') IS NULL)"
        ),
        ("policies: open_door on teams", "isolation: teams"),
    ),
    Case(
        "a policy is for one role only",
        "ALTER POLICY tenant_isolation ON teams TO dbschema_readonly",
        ("policies: tenant_isolation on teams", "isolation: teams"),
        spreads=True,
    ),
    Case(
        "the operators' policy is for everybody",
        "ALTER POLICY operator_access ON teams TO PUBLIC",
        ("policies: operator_access on teams", "isolation: teams"),
    ),
    Case(
        "an unset tenant is an error",
        "ALTER POLICY tenant_isolation ON projects USING (tenant_id = current_setting('app.tenant_id')::uuid)"
        " WITH CHECK (tenant_id = current_setting('app.tenant_id')::uuid)",
        ("policies: tenant_isolation on projects", "isolation: projects", "isolation: no tenant set"),
    ),
    Case(
        "row-level security is not forced",
        "ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY",
        ("row-level security: incidents",),
    ),
    Case(
        "row-level security is off",
        "ALTER TABLE incidents DISABLE ROW LEVEL SECURITY",
        ("row-level security: incidents", "behaviour: row-level security is active", "isolation: incidents"),
    ),
    Case(
        "a trigger is disabled",
        "ALTER TABLE projects DISABLE TRIGGER update_projects_updated_at",
        ("triggers: update_projects_updated_at on projects", "timestamps: projects"),
    ),
    Case(
        "a trigger is dropped",
        "DROP TRIGGER update_orders_updated_at ON orders",
        ("triggers: update_orders_updated_at on orders", "timestamps: orders"),
    ),
    Case(
        "a trigger too many",
        "CREATE TRIGGER aaa BEFORE INSERT ON orders EXECUTE FUNCTION update_updated_at_column()",
        ("triggers: aaa on orders",),
    ),
    Case(
        "the function of the timestamps does nothing",
        FORGETFUL.format(name="update_updated_at_column", body=NO_OP),
        ("functions: update_updated_at_column()", *[f"timestamps: {table}" for table in TIMESTAMPED]),
    ),
    Case(
        "the version is not raised",
        "DROP TRIGGER raise_agent_definitions_version ON agent_definitions",
        (
            "triggers: raise_agent_definitions_version on agent_definitions",
            "versions: agent_definitions rises by one with a change",
            "versions: agent_definitions cannot be forged",
            "versions: agent_definitions is not raised by forging it",
        ),
    ),
    Case(
        "the version rises always",
        FORGETFUL.format(
            name="raise_version_column", body="$$BEGIN NEW.version := OLD.version + 1; RETURN NEW; END$$"
        ),
        (
            "functions: raise_version_column()",
            "versions: agent_definitions stays where nothing changes",
            "versions: agent_definitions is not raised by forging it",
        ),
    ),
    Case(
        "the record can be changed",
        "DROP TRIGGER refuse_audit_logs_change ON audit_logs",
        ("triggers: refuse_audit_logs_change on audit_logs",),
        superuser=("append-only: audit_logs: UPDATE by {own}", "append-only: audit_logs: DELETE by {own}"),
    ),
    Case(
        "the record can be emptied",
        "DROP TRIGGER refuse_audit_logs_truncate ON audit_logs",
        ("triggers: refuse_audit_logs_truncate on audit_logs",),
        superuser=("append-only: audit_logs: TRUNCATE by {own}",),
    ),
    Case(
        "the record keeps a tenant from going",
        FORGETFUL.format(name="refuse_change", body="$$BEGIN RAISE insufficient_privilege; END$$"),
        ("functions: refuse_change()", "removal: rows go with their row in tenants"),
    ),
    Case(
        "the record may be taken away by the application",
        "GRANT DELETE ON audit_logs TO dbschema_app\nDROP TRIGGER refuse_audit_logs_change ON audit_logs",
        (
            "grants: table audit_logs",
            "triggers: refuse_audit_logs_change on audit_logs",
            "append-only: audit_logs: DELETE by dbschema_app",
        ),
        superuser=("append-only: audit_logs: UPDATE by {own}", "append-only: audit_logs: DELETE by {own}"),
    ),
    Case(
        "the application's role has a privilege too many",
        "GRANT DELETE ON audit_logs TO dbschema_app",
        ("grants: table audit_logs",),
    ),
    Case(
        "the application's role has a privilege too few",
        "REVOKE UPDATE ON projects FROM dbschema_app",
        ("grants: table projects", "timestamps: projects"),
    ),
    Case(
        "the reading role may not get into the schema",
        "REVOKE USAGE ON SCHEMA public FROM dbschema_readonly",
        ("grants: schema",),
    ),
    Case(
        "everybody may read a table",
        "GRANT SELECT ON documents TO PUBLIC",
        ("grants: table documents", "roles: PUBLIC on tables"),
    ),
    Case(
        "everybody may read a column",
        "GRANT SELECT (content) ON documents TO PUBLIC",
        (
            "roles: PUBLIC on tables",
            "grants: table documents",
        ),
    ),
    Case(
        "everybody may execute a function",
        "GRANT EXECUTE ON FUNCTION refuse_change() TO PUBLIC",
        (
            "roles: PUBLIC on functions",
            "functions: refuse_change()",
        ),
    ),
    Case(
        "everybody may create objects",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        (
            "roles: PUBLIC on the schema",
            "grants: schema",
        ),
    ),
    Case(
        "the application's role bypasses row-level security",
        "ALTER ROLE dbschema_app BYPASSRLS",
        (
            "roles: dbschema_app",
            "behaviour: row-level security is active",
            *[f"isolation: {table}" for table in metadata.tables],
        ),
    ),
    Case(
        "the application's role may log in",
        "ALTER ROLE dbschema_app LOGIN",
        ("roles: dbschema_app",),
    ),
    Case(
        "the application's role compiles queries",
        "ALTER ROLE dbschema_app RESET jit",
        ("roles: dbschema_app",),
    ),
    Case(
        "the reading role owns something",
        "CREATE TABLE mine ()\nALTER TABLE mine OWNER TO dbschema_readonly",
        ("roles: dbschema_readonly",),
    ),
    Case(
        "somebody is let into the role that the search functions belong to",
        "GRANT dbschema_search TO dbschema_readonly",
        ("roles: dbschema_readonly", "roles: dbschema_search"),
    ),
    Case(
        "a search function belongs to the migrator",
        "ALTER FUNCTION search_documents OWNER TO CURRENT_USER",
        ("functions: search_documents(text, uuid, timestamp with time zone, uuid, integer)",),
    ),
    Case(
        "the application's role has the powers of another one",
        "GRANT pg_read_all_data TO dbschema_app",
        ("roles: dbschema_app",),
    ),
    Case(
        "a foreign key is dropped",
        "ALTER TABLE image_evidence DROP CONSTRAINT fk_image_evidence_tenant_id_incident_id",
        ("tables: image_evidence", "foreign keys: image_evidence.incident_id"),
    ),
    Case(
        "a foreign key is by id alone",
        "ALTER TABLE incidents ADD UNIQUE (id)\nALTER TABLE image_evidence"
        " DROP CONSTRAINT fk_image_evidence_tenant_id_incident_id,"
        " ADD CONSTRAINT fk_image_evidence_tenant_id_incident_id FOREIGN KEY (incident_id) REFERENCES incidents (id)"
        " ON DELETE CASCADE",
        (
            "tables: incidents",
            "foreign keys: image_evidence.incident_id",
            "tables: image_evidence",
        ),
    ),
    Case(
        "a tenant's removal is held up",
        "ALTER TABLE orders DROP CONSTRAINT fk_orders_tenant_id,"
        " ADD CONSTRAINT fk_orders_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id)",
        (
            "removal: rows go with their row in tenants",
            "tables: orders",
        ),
    ),
    Case(
        "a unique constraint is dropped",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email",
        ("tables: users", "unique: users.email"),
    ),
    Case(
        "a unique constraint reaches across tenants",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email,"
        " ADD CONSTRAINT uq_users_tenant_id_email UNIQUE (email)",
        (
            "unique: users.email",
            "tables: users",
        ),
    ),
    Case(
        "a check is dropped",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity",
        ("tables: incidents", "values: incidents"),
    ),
    Case(
        "a check is weaker",
        "ALTER TABLE orders DROP CONSTRAINT ck_orders_status, ADD CONSTRAINT ck_orders_status CHECK (status <> '')",
        (
            "values: orders",
            "tables: orders",
        ),
    ),
    Case(
        "a check is not validated",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity,"
        " ADD CONSTRAINT ck_incidents_severity CHECK (severity BETWEEN 1 AND 5) NOT VALID",
        ("tables: incidents",),
    ),
    Case(
        "a column is dropped",
        "ALTER TABLE orders DROP COLUMN currency",
        ("tables: orders", "values: orders"),
    ),
    Case(
        "a column may be empty",
        "ALTER TABLE messages ALTER content DROP NOT NULL",
        ("tables: messages",),
    ),
    Case(
        "a column has another type",
        "ALTER TABLE orders ALTER total_amount TYPE numeric(14, 2)",
        ("tables: orders",),
    ),
    Case(
        "an index is dropped",
        "DROP INDEX idx_incidents_location",
        ("tables: incidents", "nearest: incidents.location"),
    ),
    Case(
        "an index is invalid",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_orders_status'::regclass",
        ("tables: orders",),
    ),
    Case(
        "an index is over the place alone",
        "DROP INDEX idx_incidents_location\nCREATE INDEX idx_incidents_location ON incidents (location)",
        ("tables: incidents", "nearest: incidents.location"),
    ),
    Case(
        "an extension is missing",
        "DROP EXTENSION btree_gist CASCADE",
        ("extensions: btree_gist", "tables: incidents", "nearest: incidents.location"),
    ),
    Case(
        "a table is missing",
        "DROP TABLE user_events",
        (
            "tables: user_events",
            "row-level security: user_events",
            "policies: operator_access on user_events",
            "policies: tenant_isolation on user_events",
            "grants: table user_events",
            "behaviour: row-level security is active",
            "isolation: no tenant set",
            "isolation: user_events",
            "removal: rows go with their row in tenants",
            "foreign keys: user_events.tenant_id",
            "foreign keys: user_events.user_id",
            "values: user_events",
        ),
    ),
]


def failures(report: verify.Report) -> set[str]:
    return {f"{check.group}: {check.name}" for check in report.failures}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found_and_named(connection: Connection, case: Case) -> None:
    for statement in case.sql.splitlines():
        connection.execute(text(statement))

    report = run_ours(connection)

    expected = {line.format(own=report.role) for line in (*case.lines, *case.superuser)}
    found = failures(report)
    assert (found & expected if case.spreads else found) == expected
    assert report.failed == len(found)
    groups = [check.group for check in report.checks]
    assert groups == sorted(groups, key=GROUPS.index)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found_in_the_catalog_by_a_role_that_may_build_nothing(
    connection: Connection, case: Case
) -> None:
    for statement in case.sql.splitlines():
        connection.execute(text(statement))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))
    recorder = Recorder(connection)

    running.check(recorder, metadata)
    structure.check(recorder, metadata, load_snapshot(None, metadata))
    roles.check(recorder, metadata)

    expected = {line for line in case.lines if line.partition(":")[0] in STRUCTURE}
    assert {f"{check.group}: {check.name}" for check in recorder.checks if not check.passed} == expected
