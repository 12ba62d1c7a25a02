"""What somebody changes by hand on what keeps rows right or finds them: constraints, and indexes.

Each change is found, and named as the only difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTRAINTS = {
    "extra check": (
        "ALTER TABLE teams ADD CONSTRAINT ck_teams_short CHECK (length(team_name) < 10)",
        "extra constraint ck_teams_short on teams",
    ),
    "dropped check": (
        "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity",
        "missing constraint ck_incidents_severity on incidents",
    ),
    "changed check": (
        (
            "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity, ADD CONSTRAINT "
            "ck_incidents_severity CHECK (severity BETWEEN 1 AND 6)"
        ),
        "changed constraint ck_incidents_severity on incidents: definition",
    ),
    "value added to a closed set": (
        (
            "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_status, ADD CONSTRAINT "
            "ck_incidents_status CHECK (status IN ('open', 'in_progress', 'resolved', 'closed', "
            "'lost'))"
        ),
        "changed constraint ck_incidents_status on incidents: definition",
    ),
    "unvalidated check": (
        (
            "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity, ADD CONSTRAINT "
            "ck_incidents_severity CHECK (severity BETWEEN 1 AND 5) NOT VALID"
        ),
        "changed constraint ck_incidents_severity on incidents: validated",
    ),
    "check without inheritance": (
        (
            "ALTER TABLE incidents DROP CONSTRAINT ck_incidents_severity, ADD CONSTRAINT "
            "ck_incidents_severity CHECK (severity BETWEEN 1 AND 5) NO INHERIT"
        ),
        "changed constraint ck_incidents_severity on incidents: no inherit",
    ),
    "unvalidated foreign key": (
        (
            "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id, ADD CONSTRAINT fk_teams_tenant_id "
            "FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE NOT VALID"
        ),
        "changed constraint fk_teams_tenant_id on teams: validated",
    ),
    "foreign key action": (
        (
            "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id, ADD CONSTRAINT fk_teams_tenant_id "
            "FOREIGN KEY (tenant_id) REFERENCES tenants (id)"
        ),
        "changed constraint fk_teams_tenant_id on teams: definition",
    ),
    "foreign key match": (
        (
            "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id_created_by, ADD CONSTRAINT "
            "fk_teams_tenant_id_created_by FOREIGN KEY (tenant_id, created_by) REFERENCES users "
            "(tenant_id, id) MATCH FULL"
        ),
        "changed constraint fk_teams_tenant_id_created_by on teams: definition",
    ),
    "foreign key to another table": (
        (
            "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id_created_by, ADD CONSTRAINT "
            "fk_teams_tenant_id_created_by FOREIGN KEY (tenant_id, created_by) REFERENCES orders "
            "(tenant_id, id)"
        ),
        "changed constraint fk_teams_tenant_id_created_by on teams: definition",
    ),
    "deferrable foreign key": (
        "ALTER TABLE teams ALTER CONSTRAINT fk_teams_tenant_id DEFERRABLE",
        "changed constraint fk_teams_tenant_id on teams: deferrable",
    ),
    "deferred foreign key": (
        "ALTER TABLE teams ALTER CONSTRAINT fk_teams_tenant_id DEFERRABLE INITIALLY DEFERRED",
        "changed constraint fk_teams_tenant_id on teams: deferrable",
    ),
    "dropped foreign key": (
        "ALTER TABLE teams DROP CONSTRAINT fk_teams_tenant_id",
        "missing constraint fk_teams_tenant_id on teams",
    ),
    "dropped unique constraint": (
        "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email",
        "missing constraint uq_users_tenant_id_email on users",
    ),
    "columns of a unique constraint turned round": (
        (
            "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email, ADD CONSTRAINT "
            "uq_users_tenant_id_email UNIQUE (email, tenant_id)"
        ),
        "changed constraint uq_users_tenant_id_email on users: definition",
    ),
    "nulls not distinct": (
        (
            "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_cognito_sub, ADD CONSTRAINT "
            "uq_users_tenant_id_cognito_sub UNIQUE NULLS NOT DISTINCT (tenant_id, cognito_sub)"
        ),
        "changed constraint uq_users_tenant_id_cognito_sub on users: definition",
    ),
    "unique constraint with more columns": (
        (
            "ALTER TABLE users DROP CONSTRAINT uq_users_tenant_id_email, ADD CONSTRAINT "
            "uq_users_tenant_id_email UNIQUE (tenant_id, email) INCLUDE (username)"
        ),
        "changed constraint uq_users_tenant_id_email on users: definition",
    ),
    "fillfactor of a key": (
        "ALTER INDEX pk_orders SET (fillfactor = 50)",
        "changed constraint pk_orders on orders: index options",
    ),
    "primary key changed": (
        (
            "ALTER TABLE user_events DROP CONSTRAINT pk_user_events, ADD CONSTRAINT pk_user_events "
            "PRIMARY KEY (id)"
        ),
        "changed constraint pk_user_events on user_events: definition",
    ),
    "primary key renamed": (
        "ALTER TABLE user_events RENAME CONSTRAINT pk_user_events TO user_events_pkey",
        "missing constraint pk_user_events on user_events",
        "extra constraint user_events_pkey on user_events",
    ),
    "clustered": (
        "ALTER TABLE user_events CLUSTER ON pk_user_events",
        "changed constraint pk_user_events on user_events: clustered",
    ),
    "exclusion constraint": (
        ("ALTER TABLE orders ADD CONSTRAINT no_twins EXCLUDE USING gist (tenant_id WITH =, id WITH =)"),
        "extra constraint no_twins on orders",
    ),
    "constraint comment": (
        "COMMENT ON CONSTRAINT pk_users ON users IS 'The key'",
        "changed constraint pk_users on users: comment",
    ),
}

INDEXES = {
    "extra index": (
        "CREATE INDEX idx_teams_name ON teams (team_name)",
        "extra index idx_teams_name on teams",
    ),
    "extra unique index": (
        "CREATE UNIQUE INDEX uq_teams_name ON teams (team_name)",
        "extra index uq_teams_name on teams",
    ),
    "dropped index": (
        "DROP INDEX idx_incidents_location",
        "missing index idx_incidents_location on incidents",
    ),
    "operator class": (
        (
            "DROP INDEX idx_incidents_structured_data; CREATE INDEX idx_incidents_structured_data ON "
            "incidents USING gin (structured_data)"
        ),
        "changed index idx_incidents_structured_data on incidents: definition",
    ),
    "index method": (
        (
            "DROP INDEX idx_teams_created_by; CREATE INDEX idx_teams_created_by ON teams USING brin "
            "(tenant_id, created_by)"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "index where dropped": (
        (
            "DROP INDEX idx_agents_enabled; CREATE INDEX idx_agents_enabled ON agent_definitions "
            "(tenant_id, agent_class, agent_id)"
        ),
        "changed index idx_agents_enabled on agent_definitions: definition",
    ),
    "index where added": (
        (
            "DROP INDEX idx_teams_created_by; CREATE INDEX idx_teams_created_by ON teams (tenant_id, "
            "created_by) WHERE created_by IS NOT NULL"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "index include": (
        (
            "DROP INDEX idx_teams_created_by; CREATE INDEX idx_teams_created_by ON teams (tenant_id, "
            "created_by) INCLUDE (team_name)"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "index ascending": (
        (
            "DROP INDEX idx_agents_tenant; CREATE INDEX idx_agents_tenant ON agent_definitions "
            "(tenant_id, created_at)"
        ),
        "changed index idx_agents_tenant on agent_definitions: definition",
    ),
    "index nulls": (
        (
            "DROP INDEX idx_agents_tenant; CREATE INDEX idx_agents_tenant ON agent_definitions "
            "(tenant_id, created_at DESC NULLS LAST)"
        ),
        "changed index idx_agents_tenant on agent_definitions: definition",
    ),
    "index unique": (
        (
            "DROP INDEX idx_teams_created_by; CREATE UNIQUE INDEX idx_teams_created_by ON teams "
            "(tenant_id, created_by)"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "index order": (
        (
            "DROP INDEX idx_teams_created_by; CREATE INDEX idx_teams_created_by ON teams (created_by, "
            "tenant_id)"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "index without the tenant": (
        (
            "DROP INDEX idx_incidents_location; CREATE INDEX idx_incidents_location ON incidents USING "
            "gist (location)"
        ),
        "changed index idx_incidents_location on incidents: definition",
    ),
    "index collation": (
        (
            "DROP INDEX idx_agents_tenant_class; CREATE INDEX idx_agents_tenant_class ON "
            'agent_definitions (tenant_id, agent_class COLLATE "C")'
        ),
        "changed index idx_agents_tenant_class on agent_definitions: definition",
    ),
    "index pattern operators": (
        (
            "DROP INDEX idx_agents_tenant_class; CREATE INDEX idx_agents_tenant_class ON "
            "agent_definitions (tenant_id, agent_class text_pattern_ops)"
        ),
        "changed index idx_agents_tenant_class on agent_definitions: definition",
    ),
    "index expression": (
        (
            "DROP INDEX idx_agents_tenant_class; CREATE INDEX idx_agents_tenant_class ON "
            "agent_definitions (tenant_id, lower(agent_class))"
        ),
        "changed index idx_agents_tenant_class on agent_definitions: definition",
    ),
    "index options": (
        (
            "DROP INDEX idx_teams_created_by; CREATE INDEX idx_teams_created_by ON teams (tenant_id, "
            "created_by) WITH (fillfactor = 50)"
        ),
        "changed index idx_teams_created_by on teams: definition",
    ),
    "invalid index": (
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_teams_created_by'::regclass"),
        "changed index idx_teams_created_by on teams: valid",
    ),
    "index clustered": (
        "ALTER TABLE teams CLUSTER ON idx_teams_created_by",
        "changed index idx_teams_created_by on teams: clustered",
    ),
    "index comment": (
        "COMMENT ON INDEX idx_teams_created_by IS 'For the key'",
        "changed index idx_teams_created_by on teams: comment",
    ),
}

DRIFTS = CONSTRAINTS | INDEXES


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=[name.replace(" ", "-") for name in DRIFTS])
def test_a_change_by_hand_is_named_as_the_only_difference(
    differences_after: Callable[[str], list[str]], drift: tuple[str, ...]
) -> None:
    """A drift is the change, and what is told of it: change, kind, name, and the attribute where one has changed."""
    sql, *expected = drift

    assert differences_after(sql) == expected
