"""The database of one call: the remaining time limits the wait for a sleeping server and each session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbschema.connect import DataApi, Settings
    from dbschema.tools.deploy.deadline import Deadline


def reachable(deadline: Deadline) -> Settings | DataApi:
    """Return the database for an upgrade or a status, which the RDS Data API can run too."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    api = connect.behind_data_api()
    return by_connections(deadline) if api is None else replace(api, wake_seconds=_wake(api, deadline))


def by_connections(deadline: Deadline) -> Settings:
    """Return the database that the environment names, for connections."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    settings = connect.resolve()
    return replace(settings, wake_seconds=_wake(settings, deadline))


def _wake(target: Settings | DataApi, deadline: Deadline) -> float:
    """Limit the wait for a sleeping server to the remaining time."""
    return target.wake_seconds if deadline.left is None else min(target.wake_seconds, deadline.left)


def timeouts(deadline: Deadline) -> Any:
    """Return the timeouts of the environment, limited for each session to the remaining time."""
    from dbschema.migrations.timeouts import Timeouts  # noqa: PLC0415  an event that needs no database comes without it

    class CallTimeouts(Timeouts):
        """Timeouts that read the remaining time when a session applies them, and let the deadline watch the session."""

        def apply(self, connection: Any) -> None:
            deadline.watch(driver(connection))
            left = deadline.left
            if left is None:
                super().apply(connection)
                return
            # A little later than the deadline cancels the statement: this limit is for a process that no longer exists.
            limit = left + 0.25
            limited = self.changed(statement=min(self.statement or limit, limit))
            super(CallTimeouts, limited).apply(connection)

    return CallTimeouts.from_environment()


def has_sessions(settings: Settings | DataApi) -> bool:
    """Return whether the database accepts connections, which a comparison needs."""
    return hasattr(settings, "address")


def driver(connection: Any) -> Any:
    """Return the psycopg connection of a SQLAlchemy connection."""
    return getattr(getattr(connection, "connection", connection), "driver_connection", connection)
