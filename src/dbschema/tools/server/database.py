"""Create the database of a private server after its start, and replace a lost password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema._retry import Pauses, Retry
from dbschema.tools.server.address import DATABASE, USER
from dbschema.tools.server.errors import NoConnection

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from dbschema.tools.server.address import Address

_MAINTENANCE = "postgres"
_SECONDS = 10
_RECOVERY_SECONDS = 60.0
_PAUSES = Pauses(0.05, least=1)
# Messages of a server that recovers after the kill of one of its processes; English, because lc_messages is C.
_NOT_READY = (
    "starting up",
    "in recovery mode",
    "not yet accepting connections",
    "because of crash of another server process",
    "closed the connection unexpectedly",
)


def ensure_database(address: Address, password_file: Path) -> None:
    """Create the database if it is absent. The connection also proves that clients can use the address.

    Raises:
        NoConnection: the server rejects the connection, or does not recover from a crash within a minute.
    """
    retry = Retry(_PAUSES, _RECOVERY_SECONDS)
    while True:
        try:
            _ensure(address, password_file)
        except NoConnection as error:
            if not any(words in error.reason for words in _NOT_READY) or not retry.again():
                raise
        else:
            return


def _ensure(address: Address, password_file: Path) -> None:
    import psycopg  # noqa: PLC0415  slow to import, and most commands do not need it

    try:
        with _connect(address.host, address.host, address.port, address.password) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                try:
                    connection.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return  # another caller has created it
    except psycopg.Error as error:
        place = f"{address.host}:{address.port}"
        raise NoConnection(place, " ".join(str(error).split()), password_file) from error


def set_password(socket_dir: Path, port: int, password: str, password_file: Path) -> None:
    """Set a new password of the superuser, over the Unix socket.

    The socket authenticates the OS user, so the old password is not necessary.

    Raises:
        NoConnection: the server rejects the connection or the statement.
    """
    import psycopg  # noqa: PLC0415  as above
    from psycopg import sql  # noqa: PLC0415  as above

    try:
        with _connect(str(socket_dir), "", port, None) as connection:
            # Override the settings: the caller writes the password file next, and a crash must not lose the password.
            connection.execute("SET synchronous_commit TO on")
            # Send only the SCRAM verifier, so that the password cannot appear in the server's log.
            verifier = connection.pgconn.encrypt_password(password.encode(), USER.encode(), b"scram-sha-256")
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(USER), sql.Literal(verifier.decode())
            )
            connection.execute(statement)
    except psycopg.Error as error:
        raise NoConnection(str(socket_dir), " ".join(str(error).split()), password_file) from error


def _connect(
    host: str, hostaddr: str, port: int, password: str | None
) -> psycopg.Connection[tuple[object, ...]]:
    """Connect, and override the PG* variables that select another server or forbid this connection."""
    import psycopg  # noqa: PLC0415  as above

    return psycopg.connect(
        host=host,
        hostaddr=hostaddr,
        port=port,
        user=USER,
        password=password,
        dbname=_MAINTENANCE,
        autocommit=True,
        connect_timeout=_SECONDS,
        sslmode="disable",
        gssencmode="disable",
        channel_binding="disable",
        target_session_attrs="any",
        options="-c statement_timeout=60s",
        application_name="dbschema",
    )
