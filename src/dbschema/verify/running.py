"""Run all checks of a database in a transaction that is always rolled back.

The module also contains the checks of the groups `connection` and `extensions`.
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
    """Run the checks of the groups `connection` and `extensions`."""
    connection = recorder.connection
    recorder.run("connection", "server", lambda: _server(connection))
    recorder.run("connection", "session", lambda: _session(connection))
    recorder.run("connection", "encoding", lambda: _encoding(connection))
    recorder.run("connection", "writable", lambda: _writable(connection))
    for item in declared(metadata):
        if isinstance(item, Extension):
            recorder.run("extensions", item.name, lambda name=item.name: _extension(connection, name))  # type: ignore[misc]  # a default binds the loop's value


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
    # Another session uses a lock that is not free at once; a longer wait for it would block the sessions behind.
    "SET LOCAL lock_timeout = '1s'",
    "SET LOCAL statement_timeout = '30s'",
    # With "off", a filtered row is an error.
    "SET LOCAL row_security = on",
)


def run(
    connection: Connection,
    *,
    metadata: MetaData,
    snapshot: Snapshot | None = None,
    on_check: Callable[[Check], object] | None = None,
) -> Report:
    """Verify a database: compare its catalog with the models, then test its behaviour.

    All changes are rolled back: the rows of two temporary tenants, and their locks, which are those of an ordinary INSERT
    or UPDATE. If the caller has begun a transaction, a savepoint is rolled back. Only a sequence keeps its new value, as
    after each rollback.

    Args:
        connection: to the database; its role need not be a superuser. The behaviour is checked as the application's role
            if the session can set it, else as the session's own role if row-level security applies to that role.
        metadata: the expected models.
        snapshot: of `metadata`, for a role without CREATE; see `dbschema.tools.application.load_snapshot`.
        on_check: called with each check as soon as it is done.

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
