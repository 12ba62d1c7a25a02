"""Set up the checks of behaviour: the role, and the rows of two temporary tenants.

The role is the application's, or that of the session if row-level security (RLS) applies to it. Checks as a role that
bypasses row-level security would be worthless, and some would fail without a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import Integer, UniqueConstraint
from sqlalchemy.exc import DBAPIError

from dbschema.ddl import Policy, declared, tenancy
from dbschema.ddl.base import qualified, quote
from dbschema.ddl.tenancy import APP_ROLE, POLICY_NAME, TENANT_SETTING
from dbschema.verify.behaviour import samples
from dbschema.verify.behaviour.samples import LONG_AGO, is_needed, value_for
from dbschema.verify.report import Unmet, attempt, execute, one_line, savepoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection, ForeignKeyConstraint, MetaData, Table

    from dbschema.verify.report import Attempt


_SESSION = """
SELECT current_user, r.rolsuper OR r.rolbypassrls, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %(app)s)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True)
class Actor:
    """The role of the checks.

    Args:
        role: the current role of the session, until the rollback.
        own: the previous role of the session.
    """

    role: str
    own: str


def take_role(connection: Connection, tables: Sequence[Table]) -> Actor:
    """Set the role of the checks.

    Raises:
        Unmet: no role is possible; the message shows the statement for an administrator.
    """
    own, bypasses, app_exists = execute(connection, _SESSION, {"app": APP_ROLE.name}).one()
    grant = f"have an administrator run GRANT {quote(APP_ROLE.name)} TO {quote(own)}"
    if not app_exists:
        raise Unmet(
            f"role {APP_ROLE.name} is missing; run CREATE ROLE {quote(APP_ROLE.name)} NOLOGIN, then {grant}"
        )
    try:
        with savepoint(connection, keep=True):
            execute(connection, f"SET LOCAL ROLE {quote(APP_ROLE.name)}")
    except DBAPIError as error:
        if connection.invalidated:
            raise
        if bypasses:
            raise Unmet(
                f"role {own} bypasses row-level security and may not act as {APP_ROLE.name}; {grant}"
            ) from error
        if not all(_may_write(connection, table) for table in tables):
            raise Unmet(
                f"role {own} may neither write the tables nor act as {APP_ROLE.name}; {grant}"
            ) from error
        return Actor(own, own)
    return Actor(APP_ROLE.name, own)


def as_own_role(connection: Connection, actor: Actor) -> None:
    """Set the session's own role, until the savepoint of the check is rolled back."""
    execute(connection, f"SET LOCAL ROLE {quote(actor.own)}")


def unbound(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """Return the tables on which row-level security does not apply to the current role."""
    names = []
    for table in tables:
        name = qualified(table.schema, table.name)
        try:
            with savepoint(connection):
                active = execute(
                    connection, "SELECT row_security_active(%(name)s::text)", {"name": name}
                ).scalar()
        except DBAPIError as error:
            if connection.invalidated:
                raise
            names.append(f"{table.name} ({one_line(error)})")
        else:
            if not active:
                names.append(table.name)
    return names


def _may_write(connection: Connection, table: Table) -> bool:
    query = "SELECT coalesce(has_table_privilege(to_regclass(%(name)s)::oid, 'INSERT'), true)"
    return bool(execute(connection, query, {"name": qualified(table.schema, table.name)}).scalar())


UPDATED_AT = "updated_at"


def tenant_tables(metadata: MetaData) -> list[Table]:
    """Return the tables with a tenant policy, each after the tables that its foreign keys reference."""
    isolated = {
        item.table_key for item in declared(metadata) if isinstance(item, Policy) and item.name == POLICY_NAME
    }
    return [table for table in metadata.sorted_tables if (table.schema, table.name) in isolated]


class TwoTenantFixture:
    """Two tenants, `mine` and `theirs`, and their rows.

    After `set_up`, `mine` is the tenant of the session. Each check starts with it, because each check is rolled back.

    Args:
        connection: in a transaction, with the role of the checks.
        tables: see `tenant_tables`.
        actor: see `take_role`.
    """

    def __init__(self, connection: Connection, tables: Sequence[Table], actor: Actor) -> None:
        self.connection = connection
        self.tables = tables
        self.actor = actor
        self.mine, self.theirs = uuid4(), uuid4()
        self._ids: dict[tuple[UUID, str], UUID] = {}
        self._reasons: dict[str, str] = {}
        self._numbers = count(1)

    def set_up(self) -> None:
        """Write a row into each table for both tenants; after a failure, `id_of` and `key` raise with its reason."""
        for tenant in (self.theirs, self.mine):
            self.become(tenant)
            for table in self.tables:
                try:
                    with savepoint(self.connection, keep=True):
                        self._ids[tenant, table.fullname] = self.insert(table, tenant)
                except (DBAPIError, Unmet) as error:
                    if self.connection.invalidated:
                        raise
                    self._reasons.setdefault(table.fullname, one_line(error))

    def become(self, tenant: UUID | None) -> None:
        """Set the tenant of the session; None: the empty setting."""
        execute(self.connection, tenancy.setting(tenant))

    def id_of(self, table: Table, tenant: UUID) -> UUID:
        """Return the id of the tenant's row in `table`.

        Raises:
            Unmet: the row could not be written.
        """
        row = self._ids.get((tenant, table.fullname))
        if row is None:
            reason = self._reasons.get(table.fullname, "it was not tried")
            raise Unmet(f"no row could be written into {table.fullname}: {reason}")
        return row

    def key(self, table: Table, tenant: UUID) -> str:
        """Return the SQL condition for the tenant's row in `table`. See `id_of`."""
        row = self.id_of(table, tenant)
        if "tenant_id" in table.columns:
            return f"tenant_id = '{tenant}' AND id = '{row}'"
        return f"id = '{row}'"

    def count(self, table: Table, where: str) -> int:
        """Return the number of visible rows of `table` that meet a condition."""
        return int(execute(self.connection, samples.select(table, "count(*)", where)).scalar_one())

    def insert(self, table: Table, tenant: UUID, **overrides: str | None) -> UUID:
        """Write another row of `tenant` into `table`, and return its id. See `values`."""
        values = self.values(table, tenant, **overrides)
        execute(self.connection, samples.insert(table, values), values)
        return UUID(values["id"])

    def try_insert(self, table: Table, tenant: UUID, **overrides: str | None) -> Attempt:
        """Try to write a row, and roll it back. See `values`."""
        values = self.values(table, tenant, **overrides)
        return attempt(self.connection, samples.insert(table, values), values)

    def values(self, table: Table, tenant: UUID, **overrides: str | None) -> dict[str, str | None]:
        """Return a row of `tenant` for `table`: required columns, foreign keys and `overrides`.

        `updated_at` is far in the past, so that a check notices an update that does not change it.
        """
        values: dict[str, str | None] = {"id": str(uuid4() if "tenant_id" in table.columns else tenant)}
        if "tenant_id" in table.columns:
            values["tenant_id"] = str(tenant)
        for key in table.foreign_key_constraints:
            values.update(self._reference(table, key, tenant, values.keys() | overrides.keys()))
        for column in table.columns:
            if column.name == UPDATED_AT:
                values[column.name] = LONG_AGO
            elif column.name not in values and column.name not in overrides and is_needed(column):
                values[column.name] = self.value(table, column)
        return {**values, **overrides}

    def value(self, table: Table, column: Column[Any]) -> str:
        """Return a value for `column`; a new one if the column is unique.

        Raises:
            Unmet: the type of the column is not supported. See `value_for`.
        """
        if isinstance(column.type, Integer) and any(
            column.name in unique for unique in unique_columns(table)
        ):
            return str(next(self._numbers))
        return value_for(column)

    def _acts_for(self, tenant: UUID) -> bool:
        # Query the server: the rollback of a savepoint restores the previous setting.
        setting = execute(self.connection, f"SELECT current_setting('{TENANT_SETTING}', true)").scalar()
        return bool(setting == str(tenant))

    def _reference(
        self, table: Table, key: ForeignKeyConstraint, tenant: UUID, known: set[str]
    ) -> dict[str, str]:
        """Return the missing columns of a foreign key; without an optional one if its target row could not be written."""
        target = key.referred_table
        there = (tenant, target.fullname) in self._ids
        columns = [
            column for column in key.columns if column.name not in known and (there or is_needed(column))
        ]
        if not columns:
            return {}
        alone = {column.name for column in key.columns} - {"tenant_id"} in unique_columns(table)
        # With a unique key, each row needs a target of its own. The session cannot write one for another tenant, but that
        # row is rejected before the unique constraint is checked.
        row = self.insert(target, tenant) if alone and self._acts_for(tenant) else self.id_of(target, tenant)
        return {column.name: str(row) for column in columns}


def unique_columns(table: Table) -> list[set[str]]:
    """Return the columns of each unique constraint, without the tenant."""
    return [
        {column.name for column in item.columns} - {"tenant_id"}
        for item in table.constraints
        if isinstance(item, UniqueConstraint)
    ]
