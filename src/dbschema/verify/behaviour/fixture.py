"""As which role behaviour is checked: the application's, or the session's own where row security binds it.

As a role that bypasses row security, every check of isolation would be worthless, and some would fail for no reason.

Two tenants of the moment, with a row in each table: what the checks of behaviour play with.
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
    """Who asks.

    Args:
        role: the role that behaviour is checked as; the session has it from now on, until the rollback.
        own: the role that the session had before.
    """

    role: str
    own: str


def take_role(connection: Connection, tables: Sequence[Table]) -> Actor:
    """Become the role that behaviour is checked as.

    Raises:
        Unmet: there is none; says which statement an administrator has to run.
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
                f"role {own} bypasses row security and may not act as {APP_ROLE.name}; {grant}"
            ) from error
        if not all(_may_write(connection, table) for table in tables):
            raise Unmet(
                f"role {own} may neither write the tables nor act as {APP_ROLE.name}; {grant}"
            ) from error
        return Actor(own, own)
    return Actor(APP_ROLE.name, own)


def as_own_role(connection: Connection, actor: Actor) -> None:
    """Go back to the session's own role, until the savepoint of the check is rolled back."""
    execute(connection, f"SET LOCAL ROLE {quote(actor.own)}")


def unbound(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """The tables on which row security does not bind the current role."""
    found = []
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
            found.append(f"{table.name} ({one_line(error)})")
        else:
            if not active:
                found.append(table.name)
    return found


def _may_write(connection: Connection, table: Table) -> bool:
    query = "SELECT coalesce(has_table_privilege(to_regclass(%(name)s)::oid, 'INSERT'), true)"
    return bool(execute(connection, query, {"name": qualified(table.schema, table.name)}).scalar())


UPDATED_AT = "updated_at"


def tenant_tables(metadata: MetaData) -> list[Table]:
    """The tables that keep tenants apart, each after those that its foreign keys point to."""
    isolated = {
        item.table_key for item in declared(metadata) if isinstance(item, Policy) and item.name == POLICY_NAME
    }
    return [table for table in metadata.sorted_tables if (table.schema, table.name) in isolated]


class TwoTenantFixture:
    """Two tenants, `mine` and `theirs`, and their rows.

    Once it is set up, `mine` is set: each check begins with that, because what the one before did is rolled back.

    Args:
        connection: in a transaction, with the role that the checks are made as.
        tables: those that keep tenants apart, each after those that its foreign keys point to.
        actor: who asks.
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
        """Write a row into each table for both tenants; where that fails, `key` tells why."""
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
        """Set the tenant; None: the empty setting."""
        execute(self.connection, tenancy.setting(tenant))

    def id_of(self, table: Table, tenant: UUID) -> UUID:
        """The id of the tenant's row in `table`.

        Raises:
            Unmet: it could not be written.
        """
        found = self._ids.get((tenant, table.fullname))
        if found is None:
            reason = self._reasons.get(table.fullname, "it was not tried")
            raise Unmet(f"no row could be written into {table.fullname}: {reason}")
        return found

    def key(self, table: Table, tenant: UUID) -> str:
        """The condition that names the tenant's row in `table`, as SQL."""
        row = self.id_of(table, tenant)
        if "tenant_id" in table.columns:
            return f"tenant_id = '{tenant}' AND id = '{row}'"
        return f"id = '{row}'"

    def count(self, table: Table, where: str) -> int:
        """How many rows of `table` meet a condition, as far as the session sees them."""
        return int(execute(self.connection, samples.select(table, "count(*)", where)).scalar_one())

    def insert(self, table: Table, tenant: UUID, **given: str | None) -> UUID:
        """Write another row of `tenant` into `table`, with the given values; gives its id."""
        values = self.values(table, tenant, **given)
        execute(self.connection, samples.insert(table, values), values)
        return UUID(values["id"])

    def try_insert(self, table: Table, tenant: UUID, **given: str | None) -> Attempt:
        """What the database says to such a row; it does not stay."""
        values = self.values(table, tenant, **given)
        return attempt(self.connection, samples.insert(table, values), values)

    def values(self, table: Table, tenant: UUID, **given: str | None) -> dict[str, str | None]:
        """A row of `tenant` for `table`: what it needs, its foreign keys, and what was given.

        `updated_at` is long ago, so that an update that does not move it is noticed.
        """
        values: dict[str, str | None] = {"id": str(uuid4() if "tenant_id" in table.columns else tenant)}
        if "tenant_id" in table.columns:
            values["tenant_id"] = str(tenant)
        for key in table.foreign_key_constraints:
            values.update(self._reference(table, key, tenant, values.keys() | given.keys()))
        for column in table.columns:
            if column.name == UPDATED_AT:
                values[column.name] = LONG_AGO
            elif column.name not in values and column.name not in given and is_needed(column):
                values[column.name] = self.value(table, column)
        return {**values, **given}

    def value(self, table: Table, column: Column[Any]) -> str:
        """A value for `column` that no row has yet where it has to be unique.

        Raises:
            Unmet: nothing is known about its type.
        """
        if isinstance(column.type, Integer) and any(
            column.name in unique for unique in unique_columns(table)
        ):
            return str(next(self._numbers))
        return value_for(column)

    def _acts_for(self, tenant: UUID) -> bool:
        # The server is asked: a savepoint that was rolled back took its setting along.
        setting = execute(self.connection, f"SELECT current_setting('{TENANT_SETTING}', true)").scalar()
        return bool(setting == str(tenant))

    def _reference(
        self, table: Table, key: ForeignKeyConstraint, tenant: UUID, known: set[str]
    ) -> dict[str, str]:
        """The columns of a foreign key that are not known yet; an optional one stays empty where its target failed."""
        target = key.referred_table
        there = (tenant, target.fullname) in self._ids
        columns = [
            column for column in key.columns if column.name not in known and (there or is_needed(column))
        ]
        if not columns:
            return {}
        alone = {column.name for column in key.columns} - {"tenant_id"} in unique_columns(table)
        # Of a target that may be pointed to once, each row needs one of its own; nobody can make one for another tenant,
        # whose row is refused before anybody asks whether it is unique.
        row = self.insert(target, tenant) if alone and self._acts_for(tenant) else self.id_of(target, tenant)
        return {column.name: str(row) for column in columns}


def unique_columns(table: Table) -> list[set[str]]:
    """The columns of each unique constraint, without the tenant."""
    return [
        {column.name for column in item.columns} - {"tenant_id"}
        for item in table.constraints
        if isinstance(item, UniqueConstraint)
    ]
