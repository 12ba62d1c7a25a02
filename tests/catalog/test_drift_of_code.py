"""What somebody changes by hand in what runs or stands by itself: triggers, functions, views, types.

Each change is found, and named as the only difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TRIGGERS = {
    "disabled trigger": (
        "ALTER TABLE users DISABLE TRIGGER update_users_updated_at",
        "changed trigger update_users_updated_at on users: enabled",
    ),
    "replica trigger": (
        "ALTER TABLE users ENABLE REPLICA TRIGGER update_users_updated_at",
        "changed trigger update_users_updated_at on users: enabled",
    ),
    "trigger with a condition": (
        (
            "CREATE OR REPLACE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW "
            "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION update_updated_at_column()"
        ),
        "changed trigger update_users_updated_at on users: definition",
    ),
    "trigger of another function": (
        (
            "CREATE OR REPLACE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW "
            "EXECUTE FUNCTION refuse_change()"
        ),
        "changed trigger update_users_updated_at on users: definition",
    ),
    "extra trigger": (
        (
            "CREATE TRIGGER again BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION "
            "update_updated_at_column()"
        ),
        "extra trigger again on users",
    ),
    "dropped trigger": (
        "DROP TRIGGER refuse_audit_logs_change ON audit_logs",
        "missing trigger refuse_audit_logs_change on audit_logs",
    ),
    "trigger comment": (
        "COMMENT ON TRIGGER update_users_updated_at ON users IS 'x'",
        "changed trigger update_users_updated_at on users: comment",
    ),
    "extra rule": (
        "CREATE RULE quiet AS ON DELETE TO users DO INSTEAD NOTHING",
        "extra rule quiet on users",
    ),
    "extra statistics": (
        "CREATE STATISTICS together (dependencies) ON status, domain_id FROM incidents",
        "extra statistics together on incidents",
    ),
}

FUNCTIONS = {
    "function body": (
        (
            "CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql "
            "SET search_path TO pg_catalog AS $$BEGIN RETURN NEW; END$$"
        ),
        "changed function update_updated_at_column(): body",
    ),
    "a space in a function's body": (
        (
            "CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql "
            "SET search_path TO pg_catalog AS $$\nBEGIN\n    NEW.updated_at := now();\n    RETURN NEW; "
            "\nEND\n$$"
        ),
        "changed function update_updated_at_column(): body",
    ),
    "volatility": (
        "ALTER FUNCTION update_updated_at_column() STABLE",
        "changed function update_updated_at_column(): volatility",
    ),
    "security definer": (
        "ALTER FUNCTION update_updated_at_column() SECURITY DEFINER",
        "changed function update_updated_at_column(): security definer",
    ),
    "search_path of a function dropped": (
        "ALTER FUNCTION update_updated_at_column() RESET search_path",
        "changed function update_updated_at_column(): settings",
    ),
    "search_path of a function": (
        "ALTER FUNCTION update_updated_at_column() SET search_path TO public",
        "changed function update_updated_at_column(): settings",
    ),
    "strict": (
        "ALTER FUNCTION update_updated_at_column() STRICT",
        "changed function update_updated_at_column(): strict",
    ),
    "parallel": (
        "ALTER FUNCTION update_updated_at_column() PARALLEL SAFE",
        "changed function update_updated_at_column(): parallel",
    ),
    "leakproof": (
        "ALTER FUNCTION update_updated_at_column() LEAKPROOF",
        "changed function update_updated_at_column(): leakproof",
    ),
    "cost": (
        "ALTER FUNCTION update_updated_at_column() COST 5",
        "changed function update_updated_at_column(): cost",
    ),
    "function owner": (
        "ALTER FUNCTION refuse_change() OWNER TO {role}",
        "changed function refuse_change(): owner",
    ),
    "function comment": (
        "COMMENT ON FUNCTION refuse_change() IS NULL",
        "changed function refuse_change(): comment",
    ),
    "extra function": (
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'",
        "extra function twice(integer)",
    ),
    "overloaded function": (
        "CREATE FUNCTION refuse_change(text) RETURNS void LANGUAGE sql AS ''",
        "extra function refuse_change(text)",
    ),
    "extra procedure": (
        "CREATE PROCEDURE nothing() LANGUAGE sql AS ''",
        "extra procedure nothing()",
    ),
    "extra aggregate": (
        "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
        "extra aggregate total(integer)",
    ),
    "dropped function": (
        "DROP FUNCTION raise_version_column() CASCADE",
        "missing trigger raise_agent_definitions_version on agent_definitions",
        "missing function raise_version_column()",
    ),
}

STANDING = {
    "extra view": (
        "CREATE VIEW names AS SELECT username FROM users",
        "extra view names",
    ),
    "extra materialized view": (
        ("CREATE MATERIALIZED VIEW kept AS SELECT username FROM users; CREATE INDEX ON kept (username)"),
        "extra materialized view kept",
    ),
    "extra sequence": (
        "CREATE SEQUENCE counter",
        "extra sequence counter",
    ),
    "extra enum": (
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "extra enum mood",
    ),
    "extra domain": (
        "CREATE DOMAIN rate AS int CHECK (value > 0)",
        "extra domain rate",
    ),
    "extra composite type": (
        "CREATE TYPE pair AS (a int, b text)",
        "extra composite type pair",
    ),
    "extra range type": (
        "CREATE TYPE floats AS RANGE (subtype = float8)",
        "extra range type floats",
    ),
    "serial column": (
        "ALTER TABLE teams ADD COLUMN number serial",
        "extra column number on teams",
        "extra sequence teams_number_seq",
    ),
}

DRIFTS = TRIGGERS | FUNCTIONS | STANDING


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=[name.replace(" ", "-") for name in DRIFTS])
def test_a_change_by_hand_is_named_as_the_only_difference(
    differences_after: Callable[[str], list[str]], drift: tuple[str, ...]
) -> None:
    """A drift is the change, and what is told of it: change, kind, name, and the attribute where one has changed."""
    sql, *expected = drift

    assert differences_after(sql) == expected
