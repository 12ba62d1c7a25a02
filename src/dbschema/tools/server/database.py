"""The database of a private server: there after each start; also the repair of a password that was lost."""

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
# What the server says, in English as we start it, while it repairs itself after one of its processes was killed.
_NOT_READY = (
    "starting up",
    "in recovery mode",
    "not yet accepting connections",
    "because of crash of another server process",
    "closed the connection unexpectedly",
)


def ensure_database(address: Address, password_file: Path) -> None:
    """Create the database if it is absent; this is also the proof that the address works for its clients.

    Raises:
        NoConnection: the server refuses us, or has not recovered from a crash within a minute.
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
    import psycopg  # noqa: PLC0415  not everything that starts the server needs a driver, and it takes time to load

    try:
        with _connect(address.host, address.host, address.port, address.password) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                try:
                    connection.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return  # another caller was quicker
    except psycopg.Error as error:
        place = f"{address.host}:{address.port}"
        raise NoConnection(place, " ".join(str(error).split()), password_file) from error


def set_password(socket_dir: Path, port: int, password: str, password_file: Path) -> None:
    """Give the superuser a new password, as the system's user who owns the server: its socket asks for none."""
    import psycopg  # noqa: PLC0415  as above
    from psycopg import sql  # noqa: PLC0415  as above

    try:
        with _connect(str(socket_dir), "", port, None) as connection:
            # Whatever the settings: a password must not be lost in a crash after its file was written.
            connection.execute("SET synchronous_commit TO on")
            # Only its SCRAM verifier travels, so the password itself can never stand in the server's log.
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
    """Connect with nothing taken from the caller's PG* variables that could send us elsewhere or refuse the server."""
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
