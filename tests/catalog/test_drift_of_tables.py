"""What somebody changes on a table by hand: the table itself, its columns, its row-level security.

Each change is found, and named as the only difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = {
    "extra table": (
        "CREATE TABLE notes (id uuid PRIMARY KEY, note text)",
        "extra table notes",
    ),
    "dropped table": (
        "DROP TABLE projects",
        "missing table projects",
    ),
    "unlogged": (
        "ALTER TABLE user_events SET UNLOGGED",
        "changed table user_events: persistence",
    ),
    "fillfactor": (
        "ALTER TABLE orders SET (fillfactor = 70)",
        "changed table orders: options",
    ),
    "autovacuum off for toast": (
        "ALTER TABLE documents SET (toast.autovacuum_enabled = off)",
        "changed table documents: toast options",
    ),
    "table comment": (
        "COMMENT ON TABLE teams IS 'Sports'",
        "changed table teams: comment",
    ),
    "table comment dropped": (
        "COMMENT ON TABLE teams IS NULL",
        "changed table teams: comment",
    ),
    "replica identity full": (
        "ALTER TABLE messages REPLICA IDENTITY FULL",
        "changed table messages: replica identity",
    ),
    "replica identity by an index": (
        "ALTER TABLE users REPLICA IDENTITY USING INDEX uq_users_tenant_id_username",
        "changed table users: replica identity",
    ),
    "table owner": (
        "ALTER TABLE teams OWNER TO {role}",
        "changed table teams: owner",
    ),
    "inherits": (
        "CREATE TABLE more_events () INHERITS (user_events)",
        "extra table more_events",
    ),
    "partitioned table": (
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "extra table parts",
    ),
    "partition": (
        (
            "CREATE TABLE parts (id int) PARTITION BY RANGE (id);CREATE TABLE part PARTITION OF parts "
            "FOR VALUES FROM (1) TO (2)"
        ),
        "extra table part",
        "extra table parts",
    ),
    "foreign table": (
        (
            "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER "
            "nowhere;CREATE FOREIGN TABLE elsewhere (id int) SERVER far"
        ),
        "extra foreign table elsewhere",
    ),
}

ROW_SECURITY = {
    "force removed": (
        "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
        "changed row-level security users: forced",
    ),
    "row-level security disabled": (
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "changed row-level security users: enabled",
    ),
    "policy restrictive": (
        (
            "DROP POLICY tenant_isolation ON users; CREATE POLICY tenant_isolation ON users AS "
            "RESTRICTIVE USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), "
            "'')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', "
            "true), '')::uuid))"
        ),
        "changed policy tenant_isolation on users: permissive",
    ),
    "policy using true": (
        "ALTER POLICY tenant_isolation ON users USING (true)",
        "changed policy tenant_isolation on users: using",
    ),
    "policy check true": (
        "ALTER POLICY tenant_isolation ON users WITH CHECK (true)",
        "changed policy tenant_isolation on users: check",
    ),
    "policy for a role": (
        "ALTER POLICY tenant_isolation ON users TO dbschema_app",
        "changed policy tenant_isolation on users: roles",
    ),
    "policy for a command": (
        (
            "DROP POLICY tenant_isolation ON users; CREATE POLICY tenant_isolation ON users FOR UPDATE "
            "USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) "
            "WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), "
            "'')::uuid))"
        ),
        "changed policy tenant_isolation on users: command",
    ),
    "extra policy": (
        "CREATE POLICY everything ON incidents USING (true)",
        "extra policy everything on incidents",
    ),
    "dropped policy": (
        "DROP POLICY tenant_isolation ON incidents",
        "missing policy tenant_isolation on incidents",
    ),
    "policy comment": (
        "COMMENT ON POLICY tenant_isolation ON incidents IS 'x'",
        "changed policy tenant_isolation on incidents: comment",
    ),
}

COLUMNS = {
    "extra column": (
        "ALTER TABLE teams ADD COLUMN motto text",
        "extra column motto on teams",
    ),
    "dropped column": (
        "ALTER TABLE teams DROP COLUMN description",
        "missing column description on teams",
    ),
    "renamed column": (
        "ALTER TABLE teams RENAME COLUMN description TO summary",
        "missing column description on teams",
        "extra column summary on teams",
    ),
    "column type": (
        "ALTER TABLE incidents ALTER COLUMN severity TYPE integer",
        "changed column severity on incidents: type",
    ),
    "numeric precision": (
        "ALTER TABLE orders ALTER COLUMN total_amount TYPE numeric(14,2)",
        "changed column total_amount on orders: type",
    ),
    "timestamp precision": (
        "ALTER TABLE incidents ALTER COLUMN occurred_at TYPE timestamptz(3)",
        "changed column occurred_at on incidents: type",
    ),
    "timestamp without time zone": (
        "ALTER TABLE incidents ALTER COLUMN occurred_at TYPE timestamp",
        "changed column occurred_at on incidents: type",
    ),
    "another srid": (
        "ALTER TABLE image_evidence ALTER COLUMN location TYPE geography(Point, 4267)",
        "changed column location on image_evidence: type",
    ),
    "not null dropped": (
        "ALTER TABLE teams ALTER COLUMN team_name DROP NOT NULL",
        "changed column team_name on teams: not null",
    ),
    "not null added": (
        "ALTER TABLE teams ALTER COLUMN description SET NOT NULL",
        "changed column description on teams: not null",
    ),
    "default changed": (
        "ALTER TABLE users ALTER COLUMN is_active SET DEFAULT false",
        "changed column is_active on users: default",
    ),
    "default dropped": (
        "ALTER TABLE users ALTER COLUMN id DROP DEFAULT",
        "changed column id on users: default",
    ),
    "default added": (
        "ALTER TABLE teams ALTER COLUMN description SET DEFAULT ''",
        "changed column description on teams: default",
    ),
    "generated": (
        (
            "ALTER TABLE teams DROP COLUMN description;ALTER TABLE teams ADD COLUMN description text "
            "GENERATED ALWAYS AS (lower(team_name)) STORED"
        ),
        "changed column description on teams: generated",
    ),
    "identity": (
        (
            "ALTER TABLE agent_definitions ALTER COLUMN max_output_keys DROP DEFAULT, ALTER COLUMN "
            "max_output_keys ADD GENERATED ALWAYS AS IDENTITY"
        ),
        "changed column max_output_keys on agent_definitions: default",
        "changed column max_output_keys on agent_definitions: identity",
    ),
    "collation": (
        'ALTER TABLE teams ALTER COLUMN description TYPE text COLLATE "C"',
        "changed column description on teams: collation",
    ),
    "storage": (
        "ALTER TABLE documents ALTER COLUMN title SET STORAGE EXTERNAL",
        "changed column title on documents: storage",
    ),
    "compression": (
        "ALTER TABLE documents ALTER COLUMN title SET COMPRESSION pglz",
        "changed column title on documents: compression",
    ),
    "statistics target": (
        "ALTER TABLE documents ALTER COLUMN title SET STATISTICS 500",
        "changed column title on documents: statistics target",
    ),
    "column options": (
        "ALTER TABLE documents ALTER COLUMN title SET (n_distinct = 5)",
        "changed column title on documents: options",
    ),
    "column comment": (
        "COMMENT ON COLUMN users.email IS 'Electric mail'",
        "changed column email on users: comment",
    ),
}

DRIFTS = TABLES | ROW_SECURITY | COLUMNS


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=[name.replace(" ", "-") for name in DRIFTS])
def test_a_change_by_hand_is_named_as_the_only_difference(
    differences_after: Callable[[str], list[str]], drift: tuple[str, ...]
) -> None:
    """A drift is the change, and what is told of it: change, kind, name, and the attribute where one has changed."""
    sql, *expected = drift

    assert differences_after(sql) == expected
