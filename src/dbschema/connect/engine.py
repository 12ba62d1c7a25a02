"""The engine for the schema's own work: one connection at a time, a deadline for each, no server that is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import NullPool, event

from dbschema.connect.errors import ServerTooOld
from dbschema.connect.opening import attach

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dbschema.connect.settings import Settings

OLDEST_SERVER: Final = 15
"""The oldest major version of PostgreSQL that the schema is made for."""

# An address that names one of these keeps its own.
_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "dbschema",
    "connect_timeout": 10,  # seconds, for each host
    # A server that vanished during a long run is noticed after a minute, not after the system's two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# The private server listens on loopback without TLS; PG* variables that are meant for another server do not count.
_PRIVATE: Final[dict[str, str | int]] = {
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "target_session_attrs": "any",
    "options": "",
}


def create_engine(settings: Settings, **options: Any) -> Engine:
    """An engine for `settings`, without a pool: a run has one connection, and leaves none open behind it.

    Statements are not prepared on the server: none is repeated often enough to gain by it, and a proxy would have to
    keep the connection for us alone.

    Args:
        settings: the database.
        options: handed on to `sqlalchemy.create_engine`.

    Raises:
        ServerTooOld: on connecting, by the engine.
    """
    arguments: dict[str, Any] = {
        key: value for key, value in _DEFAULTS.items() if key not in settings.url.query
    }
    if settings.is_private:
        arguments |= {"hostaddr": settings.host, **_PRIVATE}
    if settings.proxy and "options" not in settings.url.query:
        arguments["options"] = ""  # RDS Proxy refuses a connection that brings settings, as PGOPTIONS would
    arguments["prepare_threshold"] = None
    arguments |= options.pop("connect_args", {})
    options.setdefault("poolclass", NullPool)
    engine = sqlalchemy.create_engine(
        settings.url, connect_args=arguments, use_native_hstore=False, **options
    )

    def refuse_old_server(connection: Any, _record: Any) -> None:
        version = connection.info.server_version
        if version < OLDEST_SERVER * 10_000:
            shown = connection.info.parameter_status("server_version") or str(version // 10_000)
            connection.close()
            raise ServerTooOld(settings, shown, OLDEST_SERVER)

    attach(engine, settings)
    # First of all listeners: SQLAlchemy's own would ask the old server for its details.
    event.listen(engine, "connect", refuse_old_server, insert=True)
    return engine
