"""The groups `connection` and `extensions`: the server that the database lives in, and what it must bring.

Makes all checks of a database, in a transaction that is always rolled back.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbschema.ddl import Extension, declared
from dbschema.verify import behaviour, roles, structure
from dbschema.verify.report import Recorder, Report, Unmet, execute, no_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, MetaData

    from dbschema.catalog.snapshot import Snapshot
    from dbschema.verify.report import Check


OLDEST_SERVER = 15


def check(recorder: Recorder, metadata: MetaData) -> None:
    """Make the checks of both groups."""
    connection = recorder.connection
    recorder.ask("connection", "server", lambda: _server(connection))
    recorder.ask("connection", "session", lambda: _session(connection))
    recorder.ask("connection", "encoding", lambda: _encoding(connection))
    recorder.ask("connection", "writable", lambda: _writable(connection))
    for item in declared(metadata):
        if isinstance(item, Extension):
            recorder.ask("extensions", item.name, lambda name=item.name: _extension(connection, name))  # type: ignore[misc]  # a default binds the loop's value


def _server(connection: Connection) -> str:
    number, version = execute(
        connection, "SELECT current_setting('server_version_num')::int, current_setting('server_version')"
    ).one()
    if number // 10_000 < OLDEST_SERVER:
        raise Unmet(f"PostgreSQL {version} is older than {OLDEST_SERVER}; upgrade the server")
    return f"PostgreSQL {version}"


def _session(connection: Connection) -> str:
    database, role = execute(connection, "SELECT current_database(), current_user").one()
    return f"role {role} in database {database}"


def _encoding(connection: Connection) -> str:
    server, client = execute(
        connection, "SELECT current_setting('server_encoding'), current_setting('client_encoding')"
    ).one()
    if server != "UTF8":
        raise Unmet(
            f"the database stores text as {server}; make one with ENCODING 'UTF8' and move the data there"
        )
    return f"{server}, read as {client}"


def _writable(connection: Connection) -> str:
    standby, read_only = execute(
        connection, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    ).one()
    if standby:
        raise Unmet("this server is a standby and takes no writes; connect to the primary")
    if read_only:
        raise Unmet("the transaction is read-only; reset default_transaction_read_only for role and database")
    return "takes writes"


def _extension(connection: Connection, name: str) -> str:
    version = execute(
        connection, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = %(name)s", {"name": name}
    ).scalar()
    if version is None:
        raise Unmet(f"not installed; run CREATE EXTENSION {name}")
    return str(version)


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
    metadata: MetaData,
    snapshot: Snapshot | None = None,
    on_check: Callable[[Check], object] | None = None,
) -> Report:
    """Check a database: what its catalog holds against the models, and then how it behaves.

    Nothing stays behind: rows are written for two tenants of the moment and rolled back, and what is locked is locked
    as by any INSERT or UPDATE of these rows. In a transaction that the caller has begun, a savepoint is rolled back.
    (A sequence moves on for good, as with any INSERT that is rolled back.)

    Args:
        connection: to the database; its role need not be a superuser. Behaviour is checked as the application's role
            where the session may take it on, else as the session's own role if that is bound by row security.
        metadata: the models that the database should hold.
        snapshot: of `metadata`, for a role without CREATE; see `dbschema.tools.application.load_snapshot`.
        on_check: called with each check as soon as it is made.

    Raises:
        NoTransaction: the connection is in autocommit mode.
        sqlalchemy.exc.OperationalError: the connection was lost.
    """
    with _rolled_back(connection):
        for limit in LIMITS:
            execute(connection, limit)
        database, role = execute(connection, "SELECT current_database(), current_user").one()
        recorder = Recorder(connection, on_check)
        check(recorder, metadata)
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
