"""The group `isolation`: another tenant's rows are out of reach, and without a tenant so is everything.

Asked of each table: can a tenant see, insert, update, take over and delete another tenant's row, and what if no tenant
is set? And, so that a table that refuses everything does not pass: does it see its own?

The group `removal`: all rows of a tenant go with it, those that nobody may delete included.
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
"""What PostgreSQL answers where a policy, a missing privilege or the append-only trigger refuses."""

CONSTRAINTS = "23"
"""The class of SQLSTATE of integrity constraints."""


def check_unset(recorder: Recorder, tables: Sequence[Table]) -> None:
    """Ask what a session sees that has set no tenant yet; to be asked before the first tenant is set."""
    recorder.ask("isolation", "no tenant set", lambda: _unset(recorder, tables))


def check_isolation(recorder: Recorder, stage: TwoTenantFixture) -> None:
    """Make a check for each table."""
    for table in stage.tables:
        recorder.ask("isolation", table.fullname, _table(stage, table))


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


def _table(stage: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def ask() -> str:
        reached = [what for what, question in QUESTIONS if question(stage, table)]
        if reached:
            raise Unmet(f"{'; '.join(reached)}")
        return "not seen, inserted, updated, taken over or deleted across tenants; nothing without a tenant"

    return ask


def _own_is_hidden(stage: TwoTenantFixture, table: Table) -> bool:
    return stage.count(table, stage.key(table, stage.mine)) != 1


def _is_seen(stage: TwoTenantFixture, table: Table) -> bool:
    column = "tenant_id" if "tenant_id" in table.columns else "id"
    # Their row, or one of a tenant that was there before.
    theirs = f"{stage.key(table, stage.theirs)} OR {column} <> '{stage.mine}'"
    return stage.count(table, theirs) != 0


def _is_inserted(stage: TwoTenantFixture, table: Table) -> bool:
    tenant = stage.theirs if "tenant_id" in table.columns else uuid4()
    return not _refused(stage.try_insert(table, tenant))


def _is_updated(stage: TwoTenantFixture, table: Table) -> bool:
    statement = samples.update(table, "id = id", stage.key(table, stage.theirs))
    return _reaches(attempt(stage.connection, statement))


def _is_taken_over(stage: TwoTenantFixture, table: Table) -> bool:
    """A tenant gives its own row to another one, which then has a row that it never wrote."""
    column, tenant = ("tenant_id", stage.theirs) if "tenant_id" in table.columns else ("id", uuid4())
    statement = samples.update(table, f"{column} = '{tenant}'", stage.key(table, stage.mine))
    return not _refused(attempt(stage.connection, statement))


def _is_deleted(stage: TwoTenantFixture, table: Table) -> bool:
    return _reaches(attempt(stage.connection, samples.delete(table, stage.key(table, stage.theirs))))


def _is_open_without_a_tenant(stage: TwoTenantFixture, table: Table) -> bool:
    values = stage.values(table, stage.mine)
    stage.become(None)
    seen = stage.count(table, stage.key(table, stage.mine)) + stage.count(
        table, stage.key(table, stage.theirs)
    )
    if "tenant_id" not in table.columns:
        values["id"] = str(uuid4())
    written = attempt(stage.connection, samples.insert(table, values), values)
    return seen != 0 or not _refused(written)


QUESTIONS: tuple[tuple[str, Callable[[TwoTenantFixture, Table], bool]], ...] = (
    ("its own row is not visible to a tenant", _own_is_hidden),
    ("another tenant's row can be seen", _is_seen),
    ("a row can be inserted for another tenant", _is_inserted),
    ("another tenant's row can be updated", _is_updated),
    ("a row can be moved into another tenant", _is_taken_over),
    ("another tenant's row can be deleted", _is_deleted),
    ("rows can be seen or inserted without a tenant", _is_open_without_a_tenant),
)


def _refused(answer: Attempt) -> bool:
    """Whether row security refuses; a key or a check that does comes after it, and is no protection."""
    if answer.refused and answer.state != INSUFFICIENT_PRIVILEGE and not answer.state.startswith(CONSTRAINTS):
        raise Unmet(answer.message)
    return answer.state == INSUFFICIENT_PRIVILEGE


def _reaches(answer: Attempt) -> bool:
    """Whether a statement concerned rows; of a row that policies hide, nothing but 0 or a missing privilege is heard."""
    return not _refused(answer) and (answer.rows != 0 or answer.refused)


def check_removal(recorder: Recorder, stage: TwoTenantFixture) -> None:
    """Make one check for each table that names the tenants, of all tables that keep tenants apart."""
    for root in stage.tables:
        if root.info.get("distribution") == "reference" and "tenant_id" not in root.columns:
            recorder.ask("removal", f"rows go with their row in {root.fullname}", _question(stage, root))


def _question(stage: TwoTenantFixture, root: Table) -> Callable[[], str]:
    def ask() -> str:
        counted = {table.fullname: _count(stage, table) for table in stage.tables}
        done = execute(stage.connection, samples.delete(root, stage.key(root, stage.mine)))
        left = [table.fullname for table in stage.tables if _count(stage, table)]
        if done.rowcount != 1 or left:
            raise Unmet(f"rows are left in {', '.join(left) or root.fullname}")
        empty = [name for name, count in counted.items() if not count]
        if empty:
            raise Unmet(f"there was no row to remove in {', '.join(empty)}")
        return f"from {len(counted)} tables"

    return ask


def _count(stage: TwoTenantFixture, table: Table) -> int:
    column = "tenant_id" if "tenant_id" in table.columns else "id"
    return stage.count(table, f"{column} = '{stage.mine}'")
