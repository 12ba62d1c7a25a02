"""What somebody changes in a database by hand is found, and named as the only difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from dbschema import catalog
from dbschema.models import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dbschema.catalog import Difference

pytestmark = pytest.mark.usefixtures("drifter")


class Drift(NamedTuple):
    """A change by hand, and what is told of it: '<change> <kind> <name>', and ': <attribute>' where it has changed."""

    id: str
    sql: str
    told: tuple[str, ...]


def drift(id_: str, sql: str, *told: str) -> Drift:
    return Drift(id_, sql, told)


TABLES = [
    drift("extra table", "CREATE TABLE notes (id uuid PRIMARY KEY, note text)", "extra table notes"),
    drift("dropped table", "DROP TABLE projects", "missing table projects"),
    drift("unlogged", "ALTER TABLE user_events SET UNLOGGED", "changed table user_events: persistence"),
    drift("fillfactor", "ALTER TABLE orders SET (fillfactor = 70)", "changed table orders: options"),
    drift(
        "autovacuum off for toast",
        "ALTER TABLE documents SET (toast.autovacuum_enabled = off)",
        "changed table documents: toast options",
    ),
    drift("table comment", "COMMENT ON TABLE teams IS 'Sports'", "changed table teams: comment"),
    drift("table comment dropped", "COMMENT ON TABLE teams IS NULL", "changed table teams: comment"),
    drift(
        "replica identity full",
        "ALTER TABLE messages REPLICA IDENTITY FULL",
        "changed table messages: replica identity",
    ),
    drift(
        "replica identity by an index",
        "ALTER TABLE users REPLICA IDENTITY USING INDEX uq_users_tenant_id_username",
        "changed table users: replica identity",
    ),
    drift("table owner", "ALTER TABLE teams OWNER TO {role}", "changed table teams: owner"),
    drift(
        "inherits",
        "CREATE TABLE more_events () INHERITS (user_events)",
        "extra table more_events",
    ),
    drift(
        "partitioned table",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "extra table parts",
    ),
    drift(
        "partition",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (2)",
        "extra table part",
        "extra table parts",
    ),
    drift(
        "foreign table",
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
        "CREATE FOREIGN TABLE elsewhere (id int) SERVER far",
        "extra foreign table elsewhere",
    ),
]

ROW_SECURITY = [
    drift(
        "force removed",
        "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
        "changed row security users: forced",
    ),
    drift(
        "row security disabled",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "changed row security users: enabled",
    ),
    drift(
        "policy restrictive",
        "DROP POLICY tenant_isolation ON users; CREATE POLICY tenant_isolation ON users AS RESTRICTIVE"
        " USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))"
        " WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))",
        "changed policy tenant_isolation on users: permissive",
    ),
    drift(
        "policy using true",
        "ALTER POLICY tenant_isolation ON users USING (true)",
        "changed policy tenant_isolation on users: using",
    ),
    drift(
        "policy check true",
        "ALTER POLICY tenant_isolation ON users WITH CHECK (true)",
        "changed policy tenant_isolation on users: check",
    ),
    drift(
        "policy for a role",
        "ALTER POLICY tenant_isolation ON users TO dbschema_app",
        "changed policy tenant_isolation on users: roles",
    ),
    drift(
        "policy for a command",
        "DROP POLICY tenant_isolation ON users; CREATE POLICY tenant_isolation ON users FOR UPDATE"
        " USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))"
        " WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))",
        "changed policy tenant_isolation on users: command",
    ),
    drift(
        "extra policy",
        "CREATE POLICY everything ON incidents USING (true)",
        "extra policy everything on incidents",
    ),
    drift(
        "dropped policy",
        "DROP POLICY tenant_isolation ON incidents",
        "missing policy tenant_isolation on incidents",
    ),
    drift(
        "policy comment",
        "COMMENT ON POLICY tenant_isolation ON incidents IS 'x'",
        "changed policy tenant_isolation on incidents: comment",
    ),
]

COLUMNS = [
    drift("extra column", "ALTER TABLE teams ADD COLUMN motto text", "extra column motto on teams"),
    drift(
        "dropped column", "ALTER TABLE teams DROP COLUMN description", "missing column description on teams"
    ),
    drift(
        "renamed column",
        "ALTER TABLE teams RENAME COLUMN description TO summary",
        "missing column description on teams",
        "extra column summary on teams",
    ),
    drift(
        "column type",
        "ALTER TABLE incidents ALTER COLUMN severity TYPE integer",
        "changed column severity on incidents: type",
    ),
    drift(
        "numeric precision",
        "ALTER TABLE orders ALTER COLUMN total_amount TYPE numeric(14,2)",
        "changed column total_amount on orders: type",
    ),
    drift(
        "timestamp precision",
        "ALTER TABLE incidents ALTER COLUMN occurred_at TYPE timestamptz(3)",
        "changed column occurred_at on incidents: type",
    ),
    drift(
        "timestamp without time zone",
        "ALTER TABLE incidents ALTER COLUMN occurred_at TYPE timestamp",
        "changed column occurred_at on incidents: type",
    ),
    drift(
        "another srid",
        "ALTER TABLE image_evidence ALTER COLUMN location TYPE geography(Point, 4267)",
        "changed column location on image_evidence: type",
    ),
    drift(
        "not null dropped",
        "ALTER TABLE teams ALTER COLUMN team_name DROP NOT NULL",
        "changed column team_name on teams: not null",
    ),
    drift(
        "not null added",
        "ALTER TABLE teams ALTER COLUMN description SET NOT NULL",
        "changed column description on teams: not null",
    ),
    drift(
        "default changed",
        "ALTER TABLE users ALTER COLUMN is_active SET DEFAULT false",
        "changed column is_active on users: default",
    ),
    drift(
        "default dropped",
        "ALTER TABLE users ALTER COLUMN id DROP DEFAULT",
        "changed column id on users: default",
    ),
    drift(
        "default added",
        "ALTER TABLE teams ALTER COLUMN description SET DEFAULT ''",
        "changed column description on teams: default",
    ),
    drift(
        "generated",
        "ALTER TABLE teams DROP COLUMN description;"
        "ALTER TABLE teams ADD COLUMN description text GENERATED ALWAYS AS (lower(team_name)) STORED",
        "changed column description on teams: generated",
    ),
    drift(
        "identity",
        "ALTER TABLE agent_definitions ALTER COLUMN max_output_keys DROP DEFAULT,"
        " ALTER COLUMN max_output_keys ADD GENERATED ALWAYS AS IDENTITY",
        "changed column max_output_keys on agent_definitions: default",
        "changed column max_output_keys on agent_definitions: identity",
    ),
    drift(
        "collation",
        'ALTER TABLE teams ALTER COLUMN description TYPE text COLLATE "C"',
        "changed column description on teams: collation",
    ),
    drift(
        "storage",
        "ALTER TABLE documents ALTER COLUMN title SET STORAGE EXTERNAL",
        "changed column title on documents: storage",
    ),
    drift(
        "compression",
        "ALTER TABLE documents ALTER COLUMN title SET COMPRESSION pglz",
        "changed column title on documents: compression",
    ),
    drift(
        "statistics target",
        "ALTER TABLE documents ALTER COLUMN title SET STATISTICS 500",
        "changed column title on documents: statistics target",
    ),
    drift(
        "column options",
        "ALTER TABLE documents ALTER COLUMN title SET (n_distinct = 5)",
        "changed column title on documents: options",
    ),
    drift(
        "column comment",
        "COMMENT ON COLUMN users.email IS 'Electric mail'",
        "changed column email on users: comment",
    ),
]

CONSTRAINTS = [
    drift(
        "extra check",
        "ALTER TABLE teams ADD CONSTRAINT ck_teams_short CHECK (length(team_name) < 10)",
        "extra constraint ck_teams_short on teams",
    ),
    drift(
        "dropped check",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity",
        "missing constraint ck_incidents_severity on incidents",
    ),
    drift(
        "changed check",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity,"
        " ADD CONSTRAINT ck_incidents_severity CHECK (severity BETWEEN 1 AND 6)",
        "changed constraint ck_incidents_severity on incidents: definition",
    ),
    drift(
        "value added to a closed set",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_status, ADD CONSTRAINT ck_incidents_status"
        " CHECK (status IN ('open', 'in_progress', 'resolved', 'closed', 'lost'))",
        "changed constraint ck_incidents_status on incidents: definition",
    ),
    drift(
        "unvalidated check",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity,"
        " ADD CONSTRAINT ck_incidents_severity CHECK (severity BETWEEN 1 AND 5) NOT VALID",
        "changed constraint ck_incidents_severity on incidents: validated",
    ),
    drift(
        "check without inheritance",
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity,"
        " ADD CONSTRAINT ck_incidents_severity CHECK (severity BETWEEN 1 AND 5) NO INHERIT",
        "changed constraint ck_incidents_severity on incidents: no inherit",
    ),
    drift(
        "unvalidated foreign key",
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id, ADD CONSTRAINT fk_teams_tenant_id"
        " FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE NOT VALID",
        "changed constraint fk_teams_tenant_id on teams: validated",
    ),
    drift(
        "foreign key action",
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id, ADD CONSTRAINT fk_teams_tenant_id"
        " FOREIGN KEY (tenant_id) REFERENCES tenants (id)",
        "changed constraint fk_teams_tenant_id on teams: definition",
    ),
    drift(
        "foreign key match",
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id_created_by,"
        " ADD CONSTRAINT fk_teams_tenant_id_created_by"
        " FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id) MATCH FULL",
        "changed constraint fk_teams_tenant_id_created_by on teams: definition",
    ),
    drift(
        "foreign key to another table",
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id_created_by,"
        " ADD CONSTRAINT fk_teams_tenant_id_created_by"
        " FOREIGN KEY (tenant_id, created_by) REFERENCES orders (tenant_id, id)",
        "changed constraint fk_teams_tenant_id_created_by on teams: definition",
    ),
    drift(
        "deferrable foreign key",
        "ALTER TABLE teams ALTER CONSTRAINT fk_teams_tenant_id DEFERRABLE",
        "changed constraint fk_teams_tenant_id on teams: deferrable",
    ),
    drift(
        "deferred foreign key",
        "ALTER TABLE teams ALTER CONSTRAINT fk_teams_tenant_id DEFERRABLE INITIALLY DEFERRED",
        "changed constraint fk_teams_tenant_id on teams: deferrable",
    ),
    drift(
        "dropped foreign key",
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id",
        "missing constraint fk_teams_tenant_id on teams",
    ),
    drift(
        "dropped unique constraint",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email",
        "missing constraint uq_users_tenant_id_email on users",
    ),
    drift(
        "columns of a unique constraint turned round",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email,"
        " ADD CONSTRAINT uq_users_tenant_id_email UNIQUE (email, tenant_id)",
        "changed constraint uq_users_tenant_id_email on users: definition",
    ),
    drift(
        "nulls not distinct",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_cognito_sub,"
        " ADD CONSTRAINT uq_users_tenant_id_cognito_sub UNIQUE NULLS NOT DISTINCT (tenant_id, cognito_sub)",
        "changed constraint uq_users_tenant_id_cognito_sub on users: definition",
    ),
    drift(
        "unique constraint with more columns",
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email,"
        " ADD CONSTRAINT uq_users_tenant_id_email UNIQUE (tenant_id, email) INCLUDE (username)",
        "changed constraint uq_users_tenant_id_email on users: definition",
    ),
    drift(
        "fillfactor of a key",
        "ALTER INDEX pk_orders SET (fillfactor = 50)",
        "changed constraint pk_orders on orders: index options",
    ),
    drift(
        "primary key changed",
        "ALTER TABLE user_events DROP CONSTRAINT pk_user_events, ADD CONSTRAINT pk_user_events PRIMARY KEY (id)",
        "changed constraint pk_user_events on user_events: definition",
    ),
    drift(
        "primary key renamed",
        "ALTER TABLE user_events RENAME CONSTRAINT pk_user_events TO user_events_pkey",
        "missing constraint pk_user_events on user_events",
        "extra constraint user_events_pkey on user_events",
    ),
    drift(
        "clustered",
        "ALTER TABLE user_events CLUSTER ON pk_user_events",
        "changed constraint pk_user_events on user_events: clustered",
    ),
    drift(
        "exclusion constraint",
        "ALTER TABLE orders ADD CONSTRAINT no_twins EXCLUDE USING gist (tenant_id WITH =, id WITH =)",
        "extra constraint no_twins on orders",
    ),
    drift(
        "constraint comment",
        "COMMENT ON CONSTRAINT pk_users ON users IS 'The key'",
        "changed constraint pk_users on users: comment",
    ),
]

INDEXES = [
    drift(
        "extra index",
        "CREATE INDEX idx_teams_name ON teams (team_name)",
        "extra index idx_teams_name on teams",
    ),
    drift(
        "extra unique index",
        "CREATE UNIQUE INDEX uq_teams_name ON teams (team_name)",
        "extra index uq_teams_name on teams",
    ),
    drift(
        "dropped index",
        "DROP INDEX idx_incidents_location",
        "missing index idx_incidents_location on incidents",
    ),
    *(
        drift(
            id_,
            f"DROP INDEX {name}; CREATE {definition}",
            f"changed index {name} on {table}: definition",
        )
        for id_, name, table, definition in [
            (
                "operator class",
                "idx_incidents_structured_data",
                "incidents",
                "INDEX idx_incidents_structured_data ON incidents USING gin (structured_data)",
            ),
            (
                "index method",
                "idx_teams_created_by",
                "teams",
                "INDEX idx_teams_created_by ON teams USING brin (tenant_id, created_by)",
            ),
            (
                "index where dropped",
                "idx_agents_enabled",
                "agent_definitions",
                "INDEX idx_agents_enabled ON agent_definitions (tenant_id, agent_class, agent_id)",
            ),
            (
                "index where added",
                "idx_teams_created_by",
                "teams",
                "INDEX idx_teams_created_by ON teams (tenant_id, created_by) WHERE created_by IS NOT NULL",
            ),
            (
                "index include",
                "idx_teams_created_by",
                "teams",
                "INDEX idx_teams_created_by ON teams (tenant_id, created_by) INCLUDE (team_name)",
            ),
            (
                "index ascending",
                "idx_agents_tenant",
                "agent_definitions",
                "INDEX idx_agents_tenant ON agent_definitions (tenant_id, created_at)",
            ),
            (
                "index nulls",
                "idx_agents_tenant",
                "agent_definitions",
                "INDEX idx_agents_tenant ON agent_definitions (tenant_id, created_at DESC NULLS LAST)",
            ),
            (
                "index unique",
                "idx_teams_created_by",
                "teams",
                "UNIQUE INDEX idx_teams_created_by ON teams (tenant_id, created_by)",
            ),
            (
                "index order",
                "idx_teams_created_by",
                "teams",
                "INDEX idx_teams_created_by ON teams (created_by, tenant_id)",
            ),
            (
                "index without the tenant",
                "idx_incidents_location",
                "incidents",
                "INDEX idx_incidents_location ON incidents USING gist (location)",
            ),
            (
                "index collation",
                "idx_agents_tenant_class",
                "agent_definitions",
                'INDEX idx_agents_tenant_class ON agent_definitions (tenant_id, agent_class COLLATE "C")',
            ),
            (
                "index pattern operators",
                "idx_agents_tenant_class",
                "agent_definitions",
                "INDEX idx_agents_tenant_class ON agent_definitions (tenant_id, agent_class text_pattern_ops)",
            ),
            (
                "index expression",
                "idx_agents_tenant_class",
                "agent_definitions",
                "INDEX idx_agents_tenant_class ON agent_definitions (tenant_id, lower(agent_class))",
            ),
            (
                "index options",
                "idx_teams_created_by",
                "teams",
                "INDEX idx_teams_created_by ON teams (tenant_id, created_by) WITH (fillfactor = 50)",
            ),
        ]
    ),
    drift(
        "invalid index",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_teams_created_by'::regclass",
        "changed index idx_teams_created_by on teams: valid",
    ),
    drift(
        "index clustered",
        "ALTER TABLE teams CLUSTER ON idx_teams_created_by",
        "changed index idx_teams_created_by on teams: clustered",
    ),
    drift(
        "index comment",
        "COMMENT ON INDEX idx_teams_created_by IS 'For the key'",
        "changed index idx_teams_created_by on teams: comment",
    ),
]

TRIGGERS = [
    drift(
        "disabled trigger",
        "ALTER TABLE users DISABLE TRIGGER update_users_updated_at",
        "changed trigger update_users_updated_at on users: enabled",
    ),
    drift(
        "replica trigger",
        "ALTER TABLE users ENABLE REPLICA TRIGGER update_users_updated_at",
        "changed trigger update_users_updated_at on users: enabled",
    ),
    drift(
        "trigger with a condition",
        "CREATE OR REPLACE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW"
        " WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION update_updated_at_column()",
        "changed trigger update_users_updated_at on users: definition",
    ),
    drift(
        "trigger of another function",
        "CREATE OR REPLACE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW"
        " EXECUTE FUNCTION refuse_change()",
        "changed trigger update_users_updated_at on users: definition",
    ),
    drift(
        "extra trigger",
        "CREATE TRIGGER again BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()",
        "extra trigger again on users",
    ),
    drift(
        "dropped trigger",
        "DROP TRIGGER refuse_audit_logs_change ON audit_logs",
        "missing trigger refuse_audit_logs_change on audit_logs",
    ),
    drift(
        "trigger comment",
        "COMMENT ON TRIGGER update_users_updated_at ON users IS 'x'",
        "changed trigger update_users_updated_at on users: comment",
    ),
    drift(
        "extra rule",
        "CREATE RULE quiet AS ON DELETE TO users DO INSTEAD NOTHING",
        "extra rule quiet on users",
    ),
    drift(
        "extra statistics",
        "CREATE STATISTICS together (dependencies) ON status, domain_id FROM incidents",
        "extra statistics together on incidents",
    ),
]

REPLACED = "CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql {} AS {}"
BODY = "$$\nBEGIN\n    NEW.updated_at := now();\n    RETURN NEW;\nEND\n$$"

FUNCTIONS = [
    drift(
        "function body",
        REPLACED.format("SET search_path TO pg_catalog", "$$BEGIN RETURN NEW; END$$"),
        "changed function update_updated_at_column(): body",
    ),
    drift(
        "a space in a function's body",
        REPLACED.format("SET search_path TO pg_catalog", BODY.replace("RETURN NEW;", "RETURN NEW; ")),
        "changed function update_updated_at_column(): body",
    ),
    drift(
        "volatility",
        "ALTER FUNCTION update_updated_at_column() STABLE",
        "changed function update_updated_at_column(): volatility",
    ),
    drift(
        "security definer",
        "ALTER FUNCTION update_updated_at_column() SECURITY DEFINER",
        "changed function update_updated_at_column(): security definer",
    ),
    drift(
        "search_path of a function dropped",
        "ALTER FUNCTION update_updated_at_column() RESET search_path",
        "changed function update_updated_at_column(): settings",
    ),
    drift(
        "search_path of a function",
        "ALTER FUNCTION update_updated_at_column() SET search_path TO public",
        "changed function update_updated_at_column(): settings",
    ),
    drift(
        "strict",
        "ALTER FUNCTION update_updated_at_column() STRICT",
        "changed function update_updated_at_column(): strict",
    ),
    drift(
        "parallel",
        "ALTER FUNCTION update_updated_at_column() PARALLEL SAFE",
        "changed function update_updated_at_column(): parallel",
    ),
    drift(
        "leakproof",
        "ALTER FUNCTION update_updated_at_column() LEAKPROOF",
        "changed function update_updated_at_column(): leakproof",
    ),
    drift(
        "cost",
        "ALTER FUNCTION update_updated_at_column() COST 5",
        "changed function update_updated_at_column(): cost",
    ),
    drift(
        "function owner",
        "ALTER FUNCTION refuse_change() OWNER TO {role}",
        "changed function refuse_change(): owner",
    ),
    drift(
        "function comment",
        "COMMENT ON FUNCTION refuse_change() IS NULL",
        "changed function refuse_change(): comment",
    ),
    drift(
        "extra function",
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'",
        "extra function twice(integer)",
    ),
    drift(
        "overloaded function",
        "CREATE FUNCTION refuse_change(text) RETURNS void LANGUAGE sql AS ''",
        "extra function refuse_change(text)",
    ),
    drift(
        "extra procedure",
        "CREATE PROCEDURE nothing() LANGUAGE sql AS ''",
        "extra procedure nothing()",
    ),
    drift(
        "extra aggregate",
        "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
        "extra aggregate total(integer)",
    ),
    drift(
        "dropped function",
        "DROP FUNCTION raise_version_column() CASCADE",
        "missing trigger raise_agent_definitions_version on agent_definitions",
        "missing function raise_version_column()",
    ),
]

STANDING = [
    drift("extra view", "CREATE VIEW names AS SELECT username FROM users", "extra view names"),
    drift(
        "extra materialized view",
        "CREATE MATERIALIZED VIEW kept AS SELECT username FROM users; CREATE INDEX ON kept (username)",
        "extra materialized view kept",
    ),
    drift("extra sequence", "CREATE SEQUENCE counter", "extra sequence counter"),
    drift("extra enum", "CREATE TYPE mood AS ENUM ('good', 'bad')", "extra enum mood"),
    drift("extra domain", "CREATE DOMAIN rate AS int CHECK (value > 0)", "extra domain rate"),
    drift("extra composite type", "CREATE TYPE pair AS (a int, b text)", "extra composite type pair"),
    drift("extra range type", "CREATE TYPE floats AS RANGE (subtype = float8)", "extra range type floats"),
    drift(
        "serial column",
        "ALTER TABLE teams ADD COLUMN number serial",
        "extra column number on teams",
        "extra sequence teams_number_seq",
    ),
]

PRIVILEGES = [
    drift(
        "revoked grant",
        "REVOKE DELETE ON users FROM dbschema_app",
        "changed grant TABLE users TO dbschema_app: privileges",
    ),
    drift(
        "all revoked",
        "REVOKE ALL ON users FROM dbschema_readonly",
        "missing grant TABLE users TO dbschema_readonly",
    ),
    drift(
        "more granted",
        "GRANT UPDATE ON audit_logs TO dbschema_app",
        "changed grant TABLE audit_logs TO dbschema_app: privileges",
    ),
    drift(
        "extra grant to a role",
        "GRANT SELECT ON users TO {role}",
        "extra grant TABLE users TO {role}",
    ),
    drift(
        "extra grant to everybody",
        "GRANT SELECT ON users TO PUBLIC",
        "extra grant TABLE users TO PUBLIC",
    ),
    drift(
        "column grant",
        "GRANT UPDATE (details) ON audit_logs TO dbschema_app",
        "extra grant COLUMN audit_logs.details TO dbschema_app",
    ),
    drift(
        "grant option",
        "GRANT SELECT ON users TO dbschema_readonly WITH GRANT OPTION",
        "changed grant TABLE users TO dbschema_readonly: grantable",
    ),
    drift(
        "function for everybody",
        "GRANT EXECUTE ON FUNCTION refuse_change() TO PUBLIC",
        "extra grant FUNCTION refuse_change() TO PUBLIC",
    ),
    drift(
        "schema usage revoked",
        "REVOKE USAGE ON SCHEMA public FROM dbschema_app",
        "missing grant SCHEMA TO dbschema_app",
    ),
    drift(
        "everybody may create",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "extra grant SCHEMA TO PUBLIC",
    ),
    drift(
        "default privileges of the schema",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",
        "extra default privileges TABLES of {user}",
    ),
    drift(
        "default privileges of the database",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO dbschema_readonly",
        "extra default privileges TABLES of {user} in any schema",
    ),
    drift(
        "default privileges that have had their effect",
        "ALTER DEFAULT PRIVILEGES GRANT TRUNCATE ON TABLES TO {role};"
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
        "GRANT TRUNCATE ON users TO {role}",
        "extra grant TABLE users TO {role}",
        "extra default privileges FUNCTIONS of {user} in any schema",
        "extra default privileges TABLES of {user} in any schema",
    ),
]

CLUSTER = [
    drift(
        "dropped extension",
        "DROP EXTENSION btree_gist CASCADE",
        *(
            "missing extension btree_gist",
            "missing index idx_incidents_location on incidents",
        ),
    ),
]

DRIFTS = [
    *TABLES,
    *ROW_SECURITY,
    *COLUMNS,
    *CONSTRAINTS,
    *INDEXES,
    *TRIGGERS,
    *FUNCTIONS,
    *STANDING,
    *PRIVILEGES,
    *CLUSTER,
]


def told(difference: Difference) -> str:
    """A difference as it stands in the table above."""
    attribute = "" if difference.attribute is None else f": {difference.attribute}"
    return f"{difference.change} {difference.kind} {difference.name}{attribute}"


@pytest.fixture
def drifter(connection: Connection, worker_role: str) -> str:
    """A role that nobody has declared, as long as the test lasts."""
    connection.exec_driver_sql(f"CREATE ROLE {worker_role}; GRANT CREATE ON SCHEMA public TO {worker_role}")
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {worker_role}")
    return worker_role


def test_an_untouched_database_has_no_drift(connection: Connection) -> None:
    differences = catalog.check(connection, metadata)

    assert differences == ()


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.id.replace(" ", "-"))
def test_a_change_by_hand_is_named_as_the_only_difference(
    connection: Connection, drifter: str, drift: Drift
) -> None:
    user = connection.exec_driver_sql("SELECT current_user").scalar_one()
    names = {"role": drifter, "user": user}
    connection.exec_driver_sql(
        drift.sql.format(**names) if "{role}" in drift.sql else drift.sql,
        execution_options={"no_parameters": True},
    )

    differences = catalog.check(connection, metadata)

    assert [told(difference) for difference in differences] == [line.format(**names) for line in drift.told]


def test_every_drift_is_another_one() -> None:
    ids = [drift.id for drift in DRIFTS]

    assert len(set(ids)) == len(ids) >= 100
