"""Remove a tenant entirely: most rows in batches, the rest in one transaction with the tenant's own row."""

# ruff: noqa: S608  the SQL contains only quoted names of the metadata, numbers and a UUID

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dbschema._progress import Progress
from dbschema._retry import Pauses, Retry
from dbschema.ddl.base import quote
from dbschema.models import TenantStatus
from dbschema.sessions.literals import exact
from dbschema.tools.tenants.columns import reject_undeclared
from dbschema.tools.tenants.errors import (
    FOREIGN_KEY_VIOLATION,
    NOT_PRIVILEGED,
    StillWritten,
    message_of,
    missing_privilege,
    no_such_tenant,
    rows_left,
    state_of,
)
from dbschema.tools.tenants.records import counts
from dbschema.tools.tenants.session import become, run, scope_for, slug_and_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sqlalchemy import Connection, Engine, MetaData, TextClause

    from dbschema._progress import Listener
    from dbschema.tools.tenants.scope import Scope, TenantTable

    T = TypeVar("T")

BATCH = 5_000
LOCK_TIMEOUT = 1.0
PATIENCE = 60.0
_ROUNDS = 5
_PAUSES = Pauses(0.2)

_LOCKED = ("55P03", "40P01", "40001")


@dataclass(frozen=True)
class Removed:
    """The result of a removal.

    Args:
        tenant_id, slug: the removed tenant.
        counts: the number of rows that this call has removed from each table, in the order of their removal.
    """

    tenant_id: UUID
    slug: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """The number of all removed rows."""
        return sum(self.counts.values())


def remove_tenant(
    engine: Engine,
    tenant_id: UUID | str,
    *,
    batch: int = BATCH,
    metadata: MetaData | None = None,
    on_progress: Listener | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
    patience: float = PATIENCE,
) -> Removed:
    """Remove all rows of a tenant, and the tenant.

    The tenant is suspended first. Then its rows are deleted in batches, referencing tables before referenced tables. Each
    batch is a transaction that locks only its own rows. One last transaction deletes the tenant's own row together with
    the rest: audit rows, which the database deletes only with their tenant, the rows that they reference (users), tables
    that reference each other, and rows written meanwhile.

    An interrupted call has removed complete batches only; the next call continues.

    Args:
        engine: an engine as a superuser, the tables' owner, or a member of the application's role.
        tenant_id: the tenant to remove.
        batch: the maximum number of rows in a transaction.
        metadata: see `export_tenant`.
        on_progress: called after each batch.
        lock_timeout: seconds that a statement waits for a lock.
        patience: seconds for which a transaction is retried after a lock conflict.

    Raises:
        BadIdentity: `tenant_id` is not a UUID.
        NoSuchTenant: the tenant does not exist, or is hidden from the role.
        UndeclaredTables: tenants have rows in tables that the metadata does not declare.
        StillWritten: other sessions lock its rows, or write new rows, for too long.
        TenantsError: rows would remain, because their table has no foreign key to the tenants.
        MissingPrivilege: the role may not delete the rows of a table.
        ValueError: `batch` is not positive.
    """
    if batch < 1:
        raise ValueError(f"A batch has at least one row, not {batch}")
    scope, tenant = scope_for(metadata), exact(tenant_id)
    removal = _Removal(
        engine,
        scope,
        tenant,
        batch=batch,
        on_progress=on_progress,
        lock_timeout=lock_timeout,
        patience=patience,
    )
    slug = removal.attempt(removal.suspend)
    last = _with_the_tenant(scope)
    batched = [table for table in reversed(scope.tables) if table.name not in last]
    for round_ in range(1, _ROUNDS + 1):
        try:
            for table in batched:
                removal.empty(table)
            removal.record(removal.attempt(removal.finish))
            break
        except DBAPIError as error:
            # Another session wrote a row that references a row of the batch, into a table that was empty already.
            if state_of(error) != FOREIGN_KEY_VIOLATION:
                raise
            if round_ == _ROUNDS:
                raise StillWritten(tenant, message_of(error)) from error
    return Removed(tenant, slug, {table.name: removal.counts[table.name] for table in reversed(scope.tables)})


def _with_the_tenant(scope: Scope) -> set[str]:
    """Return the tables whose rows can only be deleted with the tenant's own row.

    These are append-only tables, groups of tables that reference each other, and all tables that these reference.
    """
    together = {scope.root.name}
    for group in reversed(scope.groups):
        if len(group) > 1 or any(table.append_only or table.name in together for table in group):
            for table in group:
                together.add(table.name)
                together.update(parent.name for parent in scope.parents(table))
    return together


class _Removal:
    """A removal in progress."""

    def __init__(
        self,
        engine: Engine,
        scope: Scope,
        tenant: UUID,
        *,
        batch: int,
        on_progress: Listener | None,
        lock_timeout: float,
        patience: float,
    ) -> None:
        self.counts = {table.name: 0 for table in scope.tables}
        self._engine, self._scope, self._tenant = engine, scope, tenant
        self._batch, self._on_progress = batch, on_progress
        self._lock_timeout, self._patience = lock_timeout, patience
        self._totals: dict[str, int] = {}

    def attempt(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in its own transaction; after a lock conflict, pause and retry.

        Raises:
            StillWritten: the lock conflicts last longer than `patience`.
            MissingPrivilege: the role lacks a privilege.
        """
        retry = Retry(_PAUSES, self._patience)
        while True:
            try:
                with self._engine.connect() as connection, connection.begin():
                    run(connection, f"SET LOCAL lock_timeout = {_milliseconds(self._lock_timeout)}")
                    run(connection, "SET LOCAL row_security = on")
                    become(connection, self._scope.root.sql, self._tenant)
                    return work(connection)
            except DBAPIError as error:
                if state_of(error) == NOT_PRIVILEGED:
                    raise missing_privilege(self._scope.root.name, message_of(error)) from error
                if state_of(error) not in _LOCKED:
                    raise
                if not retry.again():
                    raise StillWritten(self._tenant, message_of(error)) from error

    def suspend(self, connection: Connection) -> str:
        """Set the status of the tenant to suspended, so that applications stop serving it; return its slug."""
        root = self._scope.root
        slug, _ = slug_and_name(connection, root, self._tenant)
        reject_undeclared(connection, self._scope)
        connection.execute(
            text(
                f"UPDATE {root.sql} SET status = :status WHERE {root.of(self._tenant)} AND status <> :status"
            ),
            {"status": TenantStatus.SUSPENDED.value},
        )
        self._totals = counts(connection, self._tenant, self._scope.tables)
        return slug

    def empty(self, table: TenantTable) -> None:
        """Delete rows of a table until a batch is small.

        In a table that references itself, a batch takes only rows that no other row references. A long chain would need a
        batch for each row; the last transaction deletes the rest of it.
        """
        statement = self._statement(table)
        while True:
            deleted = self.attempt(lambda connection: int(connection.execute(statement).rowcount))
            self.record({table.name: deleted})
            if deleted < max(1, self._batch if not _inner_keys(table) else self._batch // 100):
                return

    def finish(self, connection: Connection) -> dict[str, int]:
        """Delete the tenant's own row and all remaining rows; return their number for each table."""
        root = self._scope.root
        # Only sessions of this tenant wait for these locks. A session that inserts for it holds a row lock that we need, and
        # waits for ours. The server detects this deadlock after deadlock_timeout, so lock_timeout must be longer.
        run(connection, f"SET LOCAL lock_timeout = {_milliseconds(max(self._lock_timeout, self._patience))}")
        # The lock prevents new references to the tenant, so the counted rows are exactly the deleted rows.
        locked = connection.scalar(
            text(f"SELECT count(*) FROM (SELECT FROM {root.sql} WHERE {root.of(self._tenant)} FOR UPDATE) t")
        )
        if not locked:
            raise no_such_tenant(self._tenant)
        remaining = counts(connection, self._tenant, self._scope.tables)
        run(connection, "SET LOCAL statement_timeout = 0")
        run(connection, f"DELETE FROM {root.sql} WHERE {root.of(self._tenant)}")
        undeleted = [
            name for name, count in counts(connection, self._tenant, self._scope.tables).items() if count
        ]
        if undeleted:
            raise rows_left(self._tenant, undeleted)
        return remaining

    def record(self, deleted: dict[str, int]) -> None:
        """Count rows whose deletion is committed, and report the progress."""
        for table in reversed(self._scope.tables):
            if table.name in deleted and (deleted[table.name] or len(deleted) == 1):
                self.counts[table.name] += deleted[table.name]
                if self._on_progress is not None:
                    done = self.counts[table.name]
                    self._on_progress(Progress(table.name, done, max(done, self._totals[table.name])))

    def _statement(self, table: TenantTable) -> TextClause:
        """Return the DELETE of one batch. It skips rows that other sessions have locked; a later batch deletes them."""
        free = "".join(
            f" AND NOT EXISTS (SELECT FROM {table.sql} c WHERE {table.of(self._tenant, 'c')} AND {condition})"
            for condition in _inner_keys(table)
        )
        return text(
            f"WITH batch AS MATERIALIZED (SELECT r.ctid FROM {table.sql} r WHERE {table.of(self._tenant, 'r')}{free}"
            f" LIMIT {self._batch} FOR UPDATE SKIP LOCKED)"
            f" DELETE FROM {table.sql} d USING batch WHERE d.ctid = batch.ctid AND {table.of(self._tenant, 'd')}"
        )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))  # 0 would mean no timeout


def _inner_keys(table: TenantTable) -> list[str]:
    """Return for each foreign key of a table to itself the SQL condition that row `c` references another row `r`."""
    conditions = []
    for key in sorted(table.table.foreign_key_constraints, key=lambda key: sorted(key.column_keys)):
        if key.referred_table is table.table:
            references = " AND ".join(
                f"c.{quote(element.parent.name)} = r.{quote(element.column.name)}" for element in key.elements
            )
            conditions.append(f"{references} AND c.ctid <> r.ctid")
    return conditions
