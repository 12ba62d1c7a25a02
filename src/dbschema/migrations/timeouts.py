"""How long a run waits for what, as settings of its session: locks, statements, an open transaction, a client that is gone."""

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
        "How long a statement waits for a lock, and others behind it, in seconds; 0: without limit.",
        reader="runs",
        default="0.05",
        example="0.2",
    ),
    "retry": Variable(
        "DBSCHEMA_LOCK_RETRY",
        "How long a revision that met a lock is tried again, in seconds.",
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
"""The variables that set a field."""

_LARGEST: Final = 2_147_483.0
"""Seconds; PostgreSQL keeps milliseconds in 31 bits."""


@dataclass(frozen=True)
class Timeouts:
    """Limits of a run, all in seconds.

    Whoever waits for a lock makes everybody wait who comes after him, however harmless; so a statement gives up soon, its
    revision is undone, and tried again a little later.

    Args:
        lock: `lock_timeout` of a statement; 0: none.
        retry: how long a revision is tried again when it met a lock, and how long a statement with CONCURRENTLY waits
            for the transactions of others, which stops nobody.
        statement: `statement_timeout`; 0: none; None: what the server or the role has.
        idle_in_transaction: `idle_in_transaction_session_timeout`; 0: none.
        client_check: how often the server looks, while it works for us, whether we are still there; 0: never.
        wait: how long to wait for another run on the same database.

    Raises:
        BadSetting: a value is negative, no number, or too large.
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
        """The defaults, or what the variables in `ENVIRONMENT` say; an empty one says nothing.

        Raises:
            BadSetting: one is no number of seconds; names the variable.
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
        """A copy with those of `values` that are not None."""
        given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        return replace(self, **given)

    def settings(self) -> dict[str, str]:
        """PostgreSQL's settings and their values."""
        values = {
            "lock_timeout": self.lock,
            "statement_timeout": self.statement,
            "idle_in_transaction_session_timeout": self.idle_in_transaction,
            "client_connection_check_interval": self.client_check,
        }
        return {name: milliseconds(value) for name, value in values.items() if value is not None}

    def apply(self, connection: psycopg.Connection) -> None:
        """Make them hold for the session of `connection`.

        Committed at once: a setting made in a transaction goes with its rollback, and a transaction that is open when
        Alembic is configured is taken for the caller's, whose end nobody would see to.
        """
        apply(connection, self.settings() | KEEPALIVES)


KEEPALIVES: Final = {
    # Seconds. A client whose machine vanished is noticed by the server after half a minute, not after two hours.
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
    """As PostgreSQL reads it; what is more than nothing stays so, because 0 means no limit."""
    return f"{max(1, round(seconds * 1000)) if seconds else 0}ms"
