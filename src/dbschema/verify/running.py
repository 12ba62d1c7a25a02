"""Makes all checks of a database, in a transaction that is always rolled back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbschema.tools.application import load_models, load_snapshot
from dbschema.verify import behaviour, deployment, roles, structure
from dbschema.verify.errors import no_transaction
from dbschema.verify.recording import Recorder, execute
from dbschema.verify.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.snapshot import Snapshot
    from dbschema.verify.report import Check

LIMITS = (
    # A lock that is not there at once is somebody's work; waiting in line for it would stop everybody behind.
    "SET LOCAL lock_timeout = '1s'",
    "SET LOCAL statement_timeout = '30s'",
    # Off, it would turn a filtered row into an error.
    "SET LOCAL row_security = on",
)


def run(
    connection: Connection,
    *,
    metadata: MetaData | None = None,
    snapshot: Snapshot | None = None,
    on_check: Callable[[Check], object] | None = None,
) -> Report:
    """Check a database: what its catalog holds against the models, and then how it behaves.

    Nothing stays behind: rows are written for two tenants of the moment and rolled back, and what is locked is locked
    as by any INSERT or UPDATE of these rows. In a transaction that the caller has begun, a savepoint is rolled back.
    (A sequence, which none of our tables has, moves on for good, as with any INSERT that is rolled back.)

    Args:
        connection: to the database; its role need not be a superuser. Behaviour is checked as the application's role
            where the session may take it on, else as the session's own role if that is bound by row security.
        metadata: the models that the database should hold; None: those of this package, with their snapshot.
        snapshot: of `metadata`, for a role without CREATE; see `dbschema.tools.application.load_snapshot`.
        on_check: called with each check as soon as it is made.

    Raises:
        NoTransaction: the connection is in autocommit mode.
        sqlalchemy.exc.OperationalError: the connection was lost.
    """
    if metadata is None:
        metadata = load_models(None)
        snapshot = load_snapshot(None, metadata)
    with _rolled_back(connection):
        for limit in LIMITS:
            execute(connection, limit)
        database, role = execute(connection, "SELECT current_database(), current_user").one()
        recorder = Recorder(connection, on_check)
        deployment.check(recorder, metadata)
        structure.check(recorder, metadata, snapshot)
        roles.check(recorder, metadata)
        behaviour.check(recorder, metadata)
        return Report(database, role, tuple(recorder.checks))


@contextmanager
def _rolled_back(connection: Connection) -> Iterator[None]:
    if getattr(connection.connection.driver_connection, "autocommit", False):
        raise no_transaction()
    transaction = connection.begin_nested() if connection.in_transaction() else connection.begin()
    try:
        yield
    finally:
        transaction.rollback()
