"""Set the timeouts of a run: for locks, statements, idle transactions, lost clients, and other runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Self

from dbschema.environment import Variable
from dbschema.errors import BadSetting
from dbschema.migrations.errors import bad_timeout
from dbschema.secrecy import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

ENVIRONMENT: Final[dict[str, Variable]] = {
    "lock": Variable(
        "DBSCHEMA_LOCK_TIMEOUT",
        "How long a statement waits for a lock, and blocks the sessions behind it, in seconds; 0: without limit.",
        reader="runs",
        default="0.05",
        example="0.2",
    ),
    "retry": Variable(
        "DBSCHEMA_LOCK_RETRY",
        "How long a revision is retried after a lock timeout, in seconds.",
        reader="runs",
        default="60",
        example="300",
    ),
    "statement": Variable(
        "DBSCHEMA_STATEMENT_TIMEOUT",
        "How long a statement may take, in seconds; 0: without limit.",
        reader="runs",
        default="the server's",
        example="600",
    ),
    "idle_in_transaction": Variable(
        "DBSCHEMA_IDLE_TIMEOUT",
        "How long a transaction of a run may be idle, in seconds; 0: without limit.",
        reader="runs",
        default="60",
        example="30",
    ),
    "wait": Variable(
        "DBSCHEMA_WAIT",
        "How long to wait for another run on the same database, in seconds.",
        reader="runs",
        default="60",
        example="300",
    ),
}
"""The environment variable of each field of `Timeouts`."""

_LARGEST: Final = 2_147_483.0
"""In seconds. PostgreSQL stores milliseconds in 31 bits."""


@dataclass(frozen=True)
class Timeouts:
    """The limits of a run, in seconds.

    A statement that waits for a lock blocks all later statements on the same table. So `lock` is short: after a lock timeout
    the revision is rolled back, and retried a little later.

    Args:
        lock: `lock_timeout` of a statement; 0: no limit.
        retry: the time to retry a revision after a lock timeout; also the lock timeout of a statement with CONCURRENTLY, which
            blocks no other session.
        statement: `statement_timeout`; 0: no limit; None: the setting of the server or the role.
        idle_in_transaction: `idle_in_transaction_session_timeout`; 0: no limit.
        client_check: `client_connection_check_interval`: how often the server checks the client during a statement; 0: never.
        wait: the time to wait for another run on the same database.

    Raises:
        BadSetting: a value is negative, not a finite number, or too large.
    """

    lock: float = 0.05
    retry: float = 60.0
    statement: float | None = None
    idle_in_transaction: float = 60.0
    client_check: float = 0.5
    wait: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and 0 <= value <= _LARGEST):
                raise bad_timeout(field.name, str(value))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the variables of `ENVIRONMENT`. A missing or empty variable means the default.

        Raises:
            BadSetting: a variable is not a valid number of seconds; names the variable.
        """
        values: dict[str, float] = {}
        for field, variable in ENVIRONMENT.items():
            written = Variables(environ).get(variable, "").strip()
            if written:
                try:
                    values[field] = float(written)
                    cls(**{field: values[field]})
                except (ValueError, BadSetting) as error:
                    raise bad_timeout(variable, written) from error
        return cls(**values)

    def changed(self, **values: float | None) -> Self:
        """Return a copy with the `values` that are not None."""
        changes: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        return replace(self, **changes)

    def settings(self) -> dict[str, str]:
        """Return the settings of PostgreSQL and their values."""
        values = {
            "lock_timeout": self.lock,
            "statement_timeout": self.statement,
            "idle_in_transaction_session_timeout": self.idle_in_transaction,
            "client_connection_check_interval": self.client_check,
        }
        return {name: milliseconds(value) for name, value in values.items() if value is not None}

    def apply(self, connection: psycopg.Connection) -> None:
        """Set the timeouts for the session of `connection`, and commit.

        A rollback would revert the settings. And Alembic regards a transaction that is open at its configuration as the
        caller's, so that it would never be committed.
        """
        apply(connection, self.settings() | KEEPALIVES)


KEEPALIVES: Final = {
    # In seconds. The server detects a client whose machine is lost after half a minute instead of two hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}


def apply(connection: psycopg.Connection, settings: Mapping[str, str]) -> None:
    """Set `settings` for the session, and commit."""
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    connection.execute(f"SELECT {calls}".encode())
    connection.commit()


def milliseconds(seconds: float) -> str:
    """Format seconds for PostgreSQL. Rounds a positive value to at least 1 ms, because 0 means no limit."""
    return f"{max(1, round(seconds * 1000)) if seconds else 0}ms"
