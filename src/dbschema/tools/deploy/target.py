"""The database of one call, with what is left of its time for a limit: of the wait until it wakes, and of each session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbschema.connect import DataApi, Settings
    from dbschema.tools.deploy.deadline import Deadline


def reachable(deadline: Deadline) -> Settings | DataApi:
    """The database for an upgrade or its status, which the RDS Data API is enough for."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    api = connect.behind_data_api()
    return by_connections(deadline) if api is None else replace(api, wake_seconds=_wake(api, deadline))


def by_connections(deadline: Deadline) -> Settings:
    """The database that the environment names, by connections."""
    from dbschema import connect  # noqa: PLC0415  an event that needs no database comes without it

    settings = connect.resolve()
    return replace(settings, wake_seconds=_wake(settings, deadline))


def _wake(target: Settings | DataApi, deadline: Deadline) -> float:
    """A server that sleeps is waited for as long as there is time."""
    return target.wake_seconds if deadline.left is None else min(target.wake_seconds, deadline.left)


def timeouts(deadline: Deadline) -> Any:
    """The limits that the environment sets, and for each session the time that is left."""
    from dbschema.migrations.timeouts import Timeouts  # noqa: PLC0415  an event that needs no database comes without it

    class CallTimeouts(Timeouts):
        """Made to hold for a session, they look at the clock, and let the deadline watch the session."""

        def apply(self, connection: Any) -> None:
            deadline.watch(driver(connection))
            left = deadline.left
            if left is None:
                super().apply(connection)
                return
            # A little more than until the session is cancelled: it is for a process that is gone by then.
            most = left + 0.25
            limited = self.changed(statement=min(self.statement or most, most))
            super(CallTimeouts, limited).apply(connection)

    return CallTimeouts.from_environment()


def has_sessions(settings: Settings | DataApi) -> bool:
    """Whether the database is reached by connections, which a comparison needs."""
    return hasattr(settings, "address")


def driver(connection: Any) -> Any:
    """The connection of psycopg behind one of SQLAlchemy."""
    return getattr(getattr(connection, "connection", connection), "driver_connection", connection)
