"""What somebody changes by hand in who may do what, and in the extensions.

Each change is found, and named as the only difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PRIVILEGES = {
    "revoked grant": (
        "REVOKE DELETE ON users FROM dbschema_app",
        "changed grant TABLE users TO dbschema_app: privileges",
    ),
    "all revoked": (
        "REVOKE ALL ON users FROM dbschema_readonly",
        "missing grant TABLE users TO dbschema_readonly",
    ),
    "more granted": (
        "GRANT UPDATE ON audit_logs TO dbschema_app",
        "changed grant TABLE audit_logs TO dbschema_app: privileges",
    ),
    "extra grant to a role": (
        "GRANT SELECT ON users TO {role}",
        "extra grant TABLE users TO {role}",
    ),
    "extra grant to everybody": (
        "GRANT SELECT ON users TO PUBLIC",
        "extra grant TABLE users TO PUBLIC",
    ),
    "column grant": (
        "GRANT UPDATE (details) ON audit_logs TO dbschema_app",
        "extra grant COLUMN audit_logs.details TO dbschema_app",
    ),
    "grant option": (
        "GRANT SELECT ON users TO dbschema_readonly WITH GRANT OPTION",
        "changed grant TABLE users TO dbschema_readonly: grantable",
    ),
    "function for everybody": (
        "GRANT EXECUTE ON FUNCTION refuse_change() TO PUBLIC",
        "extra grant FUNCTION refuse_change() TO PUBLIC",
    ),
    "schema usage revoked": (
        "REVOKE USAGE ON SCHEMA public FROM dbschema_app",
        "missing grant SCHEMA TO dbschema_app",
    ),
    "everybody may create": (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "extra grant SCHEMA TO PUBLIC",
    ),
    "default privileges of the schema": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",
        "extra default privileges TABLES of {user}",
    ),
    "default privileges of the database": (
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO dbschema_readonly",
        "extra default privileges TABLES of {user} in any schema",
    ),
    "default privileges that have had their effect": (
        (
            "ALTER DEFAULT PRIVILEGES GRANT TRUNCATE ON TABLES TO {role};ALTER DEFAULT PRIVILEGES "
            "REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;GRANT TRUNCATE ON users TO {role}"
        ),
        "extra grant TABLE users TO {role}",
        "extra default privileges FUNCTIONS of {user} in any schema",
        "extra default privileges TABLES of {user} in any schema",
    ),
}

EXTENSIONS = {
    "dropped extension": (
        "DROP EXTENSION btree_gist CASCADE",
        "missing extension btree_gist",
        "missing index idx_incidents_location on incidents",
    ),
}

DRIFTS = PRIVILEGES | EXTENSIONS


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=[name.replace(" ", "-") for name in DRIFTS])
def test_a_change_by_hand_is_named_as_the_only_difference(
    differences_after: Callable[[str], list[str]], drift: tuple[str, ...]
) -> None:
    """A drift is the change, and what is told of it: change, kind, name, and the attribute where one has changed."""
    sql, *expected = drift

    assert differences_after(sql) == expected
