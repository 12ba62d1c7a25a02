"""Removes a tenant entirely: its rows in batches, and with its own row what goes with nothing else."""

# ruff: noqa: S608  what is put together here are names of the metadata, quoted, numbers and a UUID

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
from dbschema.tools.tenants.columns import refuse_undeclared
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
    """What went with a tenant.

    Args:
        tenant_id, slug: who is no more.
        counts: how many rows of each table this call has removed, in the order in which they went.
    """

    tenant_id: UUID
    slug: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """All rows."""
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

    The tenant is suspended first. Then the tables are emptied of its rows, those first that nothing points to, in
    batches of a transaction each, which lock nothing but the rows of the batch. The rest goes in one last transaction
    with the tenant's own row: audit rows, which the database lets go with their tenant only, what they point to
    (users), tables that point to each other, and what was written meanwhile.

    Killed at any moment, it has removed whole batches; called again, it goes on.

    Args:
        engine: of a superuser, the tables' owner, or a member of the application's role.
        tenant_id: whom to remove.
        batch: rows a transaction, at most.
        metadata: the models; None: those of this package, and whatever was derived from its Base.
        on_progress: called after each batch.
        lock_timeout: seconds that a statement waits for a lock.
        patience: seconds during which a transaction that met a lock is tried again.

    Raises:
        BadIdentity: `tenant_id` is no UUID.
        NoSuchTenant: it is not there, or hidden from the role.
        UndeclaredTables: tenants have rows in tables that the metadata does not declare.
        StillWritten: its rows are locked, or new ones come, for too long.
        LifecycleError: rows would stay, because no foreign key leads from their table to the tenants.
        ValueError: the batch is not a positive number.
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
            removal.note(removal.attempt(removal.finish))
            break
        except DBAPIError as error:
            # Somebody wrote a row that points to one of the batch, into a table that was empty already.
            if state_of(error) != FOREIGN_KEY_VIOLATION:
                raise
            if round_ == _ROUNDS:
                raise StillWritten(tenant, message_of(error)) from error
    return Removed(tenant, slug, {table.name: removal.counts[table.name] for table in reversed(scope.tables)})


def _with_the_tenant(scope: Scope) -> set[str]:
    """The tables whose rows can only go together with the tenant's own row.

    Append-only tables; groups of tables that point to each other; and whatever these point to.
    """
    together = {scope.root.name}
    for group in reversed(scope.groups):
        if len(group) > 1 or any(table.append_only or table.name in together for table in group):
            for table in group:
                together.add(table.name)
                together.update(parent.name for parent in scope.parents(table))
    return together


class _Removal:
    """One removal on its way."""

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
        """Do `work` in a transaction of its own, and again after a pause where it met a lock.

        Raises:
            StillWritten: it met locks for as long as patience lasts.
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
        """Mark the tenant, so that applications serve it no longer; gives its slug."""
        root = self._scope.root
        slug, _ = slug_and_name(connection, root, self._tenant)
        refuse_undeclared(connection, self._scope)
        connection.execute(
            text(
                f"UPDATE {root.sql} SET status = :status WHERE {root.of(self._tenant)} AND status <> :status"
            ),
            {"status": TenantStatus.SUSPENDED.value},
        )
        self._totals = counts(connection, self._tenant, self._scope.tables)
        return slug

    def empty(self, table: TenantTable) -> None:
        """Remove rows of a table until a batch finds hardly any.

        In a table that points to itself a batch takes rows that no other points to. A long chain would be a batch a
        row: what is left of it goes in the last transaction.
        """
        statement = self._statement(table)
        while True:
            gone = self.attempt(lambda connection: int(connection.execute(statement).rowcount))
            self.note({table.name: gone})
            if gone < max(1, self._batch if not _inner_keys(table) else self._batch // 100):
                return

    def finish(self, connection: Connection) -> dict[str, int]:
        """Remove the tenant's own row, and with it all that is left; gives how many rows of each table that was."""
        root = self._scope.root
        # Whoever waits behind these locks works for this tenant. A session that inserts for it has locked a row that we
        # need, and waits for ours: the server ends one of the two after deadlock_timeout, if we have that much time.
        run(connection, f"SET LOCAL lock_timeout = {_milliseconds(max(self._lock_timeout, self._patience))}")
        # No new row can point to the tenant from here on, so that what is counted is what goes.
        locked = connection.scalar(
            text(f"SELECT count(*) FROM (SELECT FROM {root.sql} WHERE {root.of(self._tenant)} FOR UPDATE) t")
        )
        if not locked:
            raise no_such_tenant(self._tenant)
        left = counts(connection, self._tenant, self._scope.tables)
        run(connection, "SET LOCAL statement_timeout = 0")
        run(connection, f"DELETE FROM {root.sql} WHERE {root.of(self._tenant)}")
        staying = [
            name for name, count in counts(connection, self._tenant, self._scope.tables).items() if count
        ]
        if staying:
            raise rows_left(self._tenant, staying)
        return left

    def note(self, gone: dict[str, int]) -> None:
        """Count rows that are gone for good, and tell it."""
        for table in reversed(self._scope.tables):
            if table.name in gone and (gone[table.name] or len(gone) == 1):
                self.counts[table.name] += gone[table.name]
                if self._on_progress is not None:
                    done = self.counts[table.name]
                    self._on_progress(Progress(table.name, done, max(done, self._totals[table.name])))

    def _statement(self, table: TenantTable) -> TextClause:
        """Remove some rows. Those that others are changing are left for later, instead of waiting for them."""
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
    return max(1, round(seconds * 1000))  # 0 would be for ever


def _inner_keys(table: TenantTable) -> list[str]:
    """For each foreign key of a table into itself, the condition that row `c` points to row `r`, another one, as SQL."""
    conditions = []
    for key in sorted(table.table.foreign_key_constraints, key=lambda key: sorted(key.column_keys)):
        if key.referred_table is table.table:
            points = " AND ".join(
                f"c.{quote(element.parent.name)} = r.{quote(element.column.name)}" for element in key.elements
            )
            conditions.append(f"{points} AND c.ctid <> r.ctid")
    return conditions
