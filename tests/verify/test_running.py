"""A verification: all ✓ where all is well, whoever asks; honest where it cannot ask; and nothing left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import OperationalError
from tests.verify.ours import run as run_ours

from dbschema.errors import NoTransaction
from dbschema.models import metadata
from dbschema.seeds import sample
from dbschema.verify import running
from dbschema.verify.report import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbschema import verify

LOCKS = """
SELECT DISTINCT mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE pid = %s AND c.relnamespace = 'public'::regnamespace
"""
# Autovacuum comes when it likes, and writes these columns of pg_class into the row as it stands.
OF_AUTOVACUUM = ("relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid")
CATALOGS = (
    "pg_class",
    "pg_attribute",
    "pg_proc",
    "pg_namespace",
    "pg_policy",
    "pg_trigger",
    "pg_extension",
    "pg_authid",
)


def everything(connection: Connection) -> dict[str, Any]:
    """All rows with the transaction that wrote each, the catalogs, and the settings of the session."""
    found: dict[str, Any] = {}
    for name in (*metadata.tables, *CATALOGS):
        row = (
            f"(to_jsonb(t) - '{{{','.join(OF_AUTOVACUUM)}}}'::text[])::text"
            if name == "pg_class"
            else "t::text"
        )
        # Roles are the cluster's, and a test that runs beside this one makes some of its own.
        where = "WHERE rolname LIKE 'dbschema%'" if name == "pg_authid" else ""
        rows = connection.execute(
            text(
                f"SELECT md5(string_agg(md5({row} || t.xmin::text), '' ORDER BY {row})) FROM {name} t {where}"
            )
        )
        found[name] = rows.scalar()
    found["settings"] = connection.execute(
        text(
            "SELECT name, setting FROM pg_settings WHERE source = 'session' OR name LIKE '%timeout' ORDER BY 1"
        )
    ).all()
    found["role"] = connection.scalar(text("SELECT current_user"))
    connection.rollback()
    return found


def address(database: str) -> str:
    return make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_new_database_is_all_well(connection: Connection) -> None:
    report = run_ours(connection)

    assert report.failures == ()
    assert report.ok
    assert (report.rate, report.failed, report.passed) == (1.0, 0, report.total)


def test_a_database_with_data_is_all_well(connection: Connection) -> None:
    sample.apply(connection)

    report = run_ours(connection)

    assert report.failures == ()


def test_every_group_is_there_in_its_order(connection: Connection) -> None:
    report = run_ours(connection)

    assert tuple(dict.fromkeys(check.group for check in report.checks)) == GROUPS
    assert all("\n" not in str(check) for check in report.checks)
    assert len({(check.group, check.name) for check in report.checks}) == report.total


def test_everything_that_is_declared_has_its_line(connection: Connection) -> None:
    report = run_ours(connection)

    names = {group: [check.name for check in report.of(group)] for group in GROUPS}
    tables = len(metadata.tables)
    updated = sum("updated_at" in table.columns for table in metadata.tables.values())
    assert set(names["tables"]) >= set(metadata.tables)
    assert len(names["timestamps"]) == updated
    assert sum(name.startswith("update_") for name in names["triggers"]) == updated
    # Two policies a table, and two for the searches.
    assert (len(names["row-level security"]), len(names["policies"])) == (tables, 2 * tables + 2)
    assert set(names["isolation"]) == {"no tenant set", *metadata.tables}
    assert sum(name.startswith("table ") for name in names["grants"]) == tables
    assert {name.partition(":")[0] for name in names["append-only"]} == {"audit_logs"}


@pytest.mark.parametrize(
    ("kind", "acts_as", "exact"),
    [
        ("owner of the database", None, True),
        ("owner of the tables", None, False),
        ("migrator", "dbschema_app", False),
        ("member", "dbschema_app", False),
    ],
)
def test_a_role_without_powers_finds_all_well(
    session_of: Callable[[str], Connection], kind: str, acts_as: str | None, exact: bool
) -> None:
    session = session_of(kind)

    report = run_ours(session)

    assert report.failures == ()
    assert report.of("behaviour")[0].detail.partition(" acts as ")[2] == (acts_as or "")
    assert report.of("tables")[0].detail.startswith(
        "catalog with catalog" if exact else "catalog with the snapshot"
    )


@pytest.mark.parametrize("kind", ["reader", "bypassing"])
def test_a_role_that_could_prove_nothing_is_told_which_grant_it_needs(
    session_of: Callable[[str], Connection], kind: str
) -> None:
    """As a role that bypasses row-level security, isolation would be seen to be broken where it is not, and the reverse."""
    session = session_of(kind)

    report = run_ours(session)

    assert [check.name for check in report.failures] == ["role"]
    assert f"GRANT dbschema_app TO {report.role}" in report.failures[0].detail
    assert report.of("isolation") == ()


@pytest.mark.parametrize("kind", ["migrator", "member", "owner of the database"])
def test_nothing_is_left_behind(
    database: str, connect: Callable[..., Connection], session_of: Callable[[str], Connection], kind: str
) -> None:
    admin, session = connect(database), session_of(kind)
    sample.apply(admin)
    before = everything(admin)

    run_ours(session)

    assert everything(admin) == before


def test_nothing_is_left_behind_in_the_session(database: str, connect: Callable[..., Connection]) -> None:
    connection = connect(database)
    sample.apply(connection)
    before = everything(connection)

    run_ours(connection)

    assert not connection.in_transaction()
    assert everything(connection) == before


def test_what_the_caller_began_is_the_callers_to_end(
    database: str, connect: Callable[..., Connection]
) -> None:
    connection = connect(database)
    connection.execute(text("INSERT INTO tenants (tenant_name, slug) VALUES ('Mine', 'mine')"))
    connection.execute(text("SET LOCAL app.tenant_id = 'kept'"))

    report = run_ours(connection)

    assert report.failures == ()
    assert (
        connection.scalar(text("SELECT current_setting('app.tenant_id') || current_user"))
        == f"kept{report.role}"
    )
    connection.commit()
    assert connection.scalars(text("SELECT slug FROM tenants")).all() == ["mine"]


def test_a_tenant_that_the_session_has_set_changes_nothing(
    session_of: Callable[[str], Connection], database: str, connect: Callable[..., Connection]
) -> None:
    sample.apply(connect(database))
    session = session_of("member")
    session.execute(text("SET app.tenant_id = '00000000-0000-0000-0000-000000000001'"))
    session.commit()

    report = run_ours(session)

    assert report.failures == ()
    assert session.scalar(text("SELECT current_setting('app.tenant_id')")).endswith("1")


def test_autocommit_is_refused(database: str, connect: Callable[..., Connection]) -> None:
    connection = connect(database, isolation_level="AUTOCOMMIT")

    with pytest.raises(NoTransaction, match="autocommit"):
        run_ours(connection)


def test_an_empty_database_is_told_line_by_line(
    fresh_database: str, connect: Callable[..., Connection]
) -> None:
    report = run_ours(connect(fresh_database))

    assert {check.group for check in report.checks if check.passed} <= {
        "connection",
        "tables",
        "roles",
        "behaviour",
    }
    assert {check.name for check in report.of("tables") if not check.passed} == set(metadata.tables)
    assert not any(
        check.passed for group in ("triggers", "policies", "row-level security") for check in report.of(group)
    )
    assert not any(
        check.passed for group in ("isolation", "timestamps", "unique") for check in report.of(group)
    )
    assert "CREATE EXTENSION postgis" in report.of("extensions")[0].detail


def test_without_the_applications_role_the_rest_is_still_told(connection: Connection) -> None:
    connection.execute(text("ALTER ROLE dbschema_app RENAME TO dbschema_gone"))

    report = run_ours(connection)

    failed = {(check.group, check.name) for check in report.failures}
    assert ("roles", "dbschema_app") in failed
    assert ("behaviour", "role") in failed
    assert not any(check.passed for check in report.of("grants"))
    assert all(check.passed for check in report.of("policies"))


def test_a_read_only_transaction_is_told_as_such(connection: Connection) -> None:
    connection.execute(text("SET TRANSACTION READ ONLY"))

    report = run_ours(connection)

    assert "read-only" in next(check.detail for check in report.failures if check.name == "writable")


def test_each_check_is_told_as_soon_as_it_is_made(connection: Connection) -> None:
    told: list[verify.Check] = []

    report = run_ours(connection, on_check=told.append)

    assert tuple(told) == report.checks


def test_a_connection_that_is_lost_ends_the_verification(
    database: str, connect: Callable[..., Connection]
) -> None:
    connection = connect(database)
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.rollback()

    def kill(check: verify.Check) -> None:
        if check.group == "isolation":
            with psycopg.connect(address(database), autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))

    with pytest.raises(OperationalError):
        run_ours(connection, on_check=kill)


def test_what_is_locked_is_locked_as_by_any_insert_or_update(
    database: str, connect: Callable[..., Connection]
) -> None:
    """Anything stronger would stop those who work in the tables meanwhile."""
    connection = connect(database)
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    modes: set[str] = set()

    with psycopg.connect(address(database), autocommit=True) as watcher:
        run_ours(
            connection,
            on_check=lambda _: modes.update(mode for (mode,) in watcher.execute(LOCKS, (backend,))),
        )

    assert "RowExclusiveLock" in modes
    assert modes <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


def test_a_table_that_somebody_has_locked_is_told_and_not_waited_for(
    database: str,
    connect: Callable[..., Connection],
    session_of: Callable[[str], Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In line for a lock, the verification would hold up everybody who comes after it."""
    monkeypatch.setattr(running, "LIMITS", ("SET LOCAL lock_timeout = '50ms'",))
    session, other = session_of("member"), connect(database)
    other.execute(text("LOCK TABLE messages"))

    report = run_ours(session)

    assert ("isolation", "messages") in {(check.group, check.name) for check in report.failures}
    assert [str(check) for check in report.failures if "lock timeout" not in check.detail] == []


def test_the_report_is_json(connection: Connection) -> None:
    report = run_ours(connection)

    read = json.loads(report.to_json())

    assert read["total"] == len(read["checks"]) == report.total
    assert read["checks"][0] == {
        "group": "connection",
        "name": "server",
        "passed": True,
        "detail": report.checks[0].detail,
        "tried": True,
    }
    assert (read["rate"], read["failed"], read["database"]) == (1.0, 0, report.database)
