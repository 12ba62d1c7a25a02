"""Check the groups `isolation` and `removal`: tenants cannot access each other, and a removal leaves no rows.

For each table, `isolation` tries to read, insert, update, move and delete rows of another tenant, and to read and insert
without a tenant. A tenant must see its own row, so that a table that rejects everything does not pass. `removal` deletes
a tenant with all its rows, append-only rows included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.verify.behaviour import samples
from dbschema.verify.report import Unmet, attempt, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Table

    from dbschema.verify.behaviour.fixture import TwoTenantFixture
    from dbschema.verify.report import Attempt, Recorder


INSUFFICIENT_PRIVILEGE = "42501"
"""The SQLSTATE of a policy, of a missing privilege and of the append-only trigger."""

CONSTRAINTS = "23"
"""The class of SQLSTATE of integrity constraints."""


def check_unset(recorder: Recorder, tables: Sequence[Table]) -> None:
    """Check that a session without a tenant sees no rows; call it before the first tenant is set."""
    recorder.run("isolation", "no tenant set", lambda: _unset(recorder, tables))


def check_isolation(recorder: Recorder, fixture: TwoTenantFixture) -> None:
    """Check each table."""
    for table in fixture.tables:
        recorder.run("isolation", table.fullname, _table(fixture, table))


def _unset(recorder: Recorder, tables: Sequence[Table]) -> str:
    connection = recorder.connection
    before = execute(connection, f"SELECT current_setting('{TENANT_SETTING}', true)").scalar()
    if before:
        execute(connection, f"RESET {TENANT_SETTING}")
        if execute(connection, f"SELECT current_setting('{TENANT_SETTING}', true)").scalar():
            raise Unmet(
                f"the database or the role sets {TENANT_SETTING} for every session: ALTER … RESET {TENANT_SETTING}"
            )
    seen = [
        table.fullname
        for table in tables
        if execute(connection, f"SELECT EXISTS ({samples.select(table, '1')})").scalar()
    ]
    if seen:
        raise Unmet(f"rows are visible in {', '.join(seen)}")
    how = "was never set" if before is None else "was reset"
    return f"the setting {how}: no rows in {len(tables)} tables"


def _table(fixture: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def run() -> str:
        violations = [text for text, is_violated in QUESTIONS if is_violated(fixture, table)]
        if violations:
            raise Unmet("; ".join(violations))
        return "not seen, inserted, updated, taken over or deleted across tenants; nothing without a tenant"

    return run


def _own_is_hidden(fixture: TwoTenantFixture, table: Table) -> bool:
    return fixture.count(table, fixture.key(table, fixture.mine)) != 1


def _is_seen(fixture: TwoTenantFixture, table: Table) -> bool:
    column = "tenant_id" if "tenant_id" in table.columns else "id"
    # The row of the other tenant, or one of an existing tenant.
    theirs = f"{fixture.key(table, fixture.theirs)} OR {column} <> '{fixture.mine}'"
    return fixture.count(table, theirs) != 0


def _is_inserted(fixture: TwoTenantFixture, table: Table) -> bool:
    tenant = fixture.theirs if "tenant_id" in table.columns else uuid4()
    return not _rejected(fixture.try_insert(table, tenant))


def _is_updated(fixture: TwoTenantFixture, table: Table) -> bool:
    statement = samples.update(table, "id = id", fixture.key(table, fixture.theirs))
    return _reaches(attempt(fixture.connection, statement))


def _is_taken_over(fixture: TwoTenantFixture, table: Table) -> bool:
    """Return whether a tenant can move its own row to another tenant."""
    column, tenant = ("tenant_id", fixture.theirs) if "tenant_id" in table.columns else ("id", uuid4())
    statement = samples.update(table, f"{column} = '{tenant}'", fixture.key(table, fixture.mine))
    return not _rejected(attempt(fixture.connection, statement))


def _is_deleted(fixture: TwoTenantFixture, table: Table) -> bool:
    return _reaches(attempt(fixture.connection, samples.delete(table, fixture.key(table, fixture.theirs))))


def _is_open_without_a_tenant(fixture: TwoTenantFixture, table: Table) -> bool:
    values = fixture.values(table, fixture.mine)
    fixture.become(None)
    seen = fixture.count(table, fixture.key(table, fixture.mine)) + fixture.count(
        table, fixture.key(table, fixture.theirs)
    )
    if "tenant_id" not in table.columns:
        values["id"] = str(uuid4())
    written = attempt(fixture.connection, samples.insert(table, values), values)
    return seen != 0 or not _rejected(written)


QUESTIONS: tuple[tuple[str, Callable[[TwoTenantFixture, Table], bool]], ...] = (
    ("its own row is not visible to a tenant", _own_is_hidden),
    ("another tenant's row can be seen", _is_seen),
    ("a row can be inserted for another tenant", _is_inserted),
    ("another tenant's row can be updated", _is_updated),
    ("a row can be moved into another tenant", _is_taken_over),
    ("another tenant's row can be deleted", _is_deleted),
    ("rows can be seen or inserted without a tenant", _is_open_without_a_tenant),
)


def _rejected(result: Attempt) -> bool:
    """Return whether a policy or a privilege rejects the statement; constraints come later, and are no protection."""
    if (
        result.rejected
        and result.state != INSUFFICIENT_PRIVILEGE
        and not result.state.startswith(CONSTRAINTS)
    ):
        raise Unmet(result.message)
    return result.state == INSUFFICIENT_PRIVILEGE


def _reaches(result: Attempt) -> bool:
    """Return whether a statement affected rows; a hidden row yields 0 rows, or a missing privilege."""
    return not _rejected(result) and (result.rows != 0 or result.rejected)


def check_removal(recorder: Recorder, fixture: TwoTenantFixture) -> None:
    """Check the deletion of a tenant, for each table of tenants among the tenant tables."""
    for root in fixture.tables:
        if root.info.get("distribution") == "reference" and "tenant_id" not in root.columns:
            recorder.run("removal", f"rows go with their row in {root.fullname}", _check(fixture, root))


def _check(fixture: TwoTenantFixture, root: Table) -> Callable[[], str]:
    def run() -> str:
        counted = {table.fullname: _count(fixture, table) for table in fixture.tables}
        done = execute(fixture.connection, samples.delete(root, fixture.key(root, fixture.mine)))
        left = [table.fullname for table in fixture.tables if _count(fixture, table)]
        if done.rowcount != 1 or left:
            raise Unmet(f"rows are left in {', '.join(left) or root.fullname}")
        empty = [name for name, count in counted.items() if not count]
        if empty:
            raise Unmet(f"there was no row to remove in {', '.join(empty)}")
        return f"from {len(counted)} tables"

    return run


def _count(fixture: TwoTenantFixture, table: Table) -> int:
    column = "tenant_id" if "tenant_id" in table.columns else "id"
    return fixture.count(table, f"{column} = '{fixture.mine}'")
