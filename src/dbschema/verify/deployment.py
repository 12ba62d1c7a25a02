"""The groups `connection` and `extensions`: the server that the database lives in, and what it must bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.ddl import Extension, declared
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

    from dbschema.verify.recording import Recorder

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
