"""Create engines that connect as `Settings` say and reject a server that is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import NullPool, event

from dbschema.connect.connection import attach, check_server_version, own_parameters

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dbschema.connect.settings import Settings


def create_engine(settings: Settings, **options: Any) -> Engine:
    """Create an engine without a pool: a run has one connection, and leaves none open.

    Statements are not prepared on the server: they are repeated too rarely, and would pin the connection of a proxy.

    Args:
        settings: the database.
        options: passed to `sqlalchemy.create_engine`.

    Raises:
        ServerTooOld: when the engine connects: the server is too old.
    """
    arguments = own_parameters(settings) | options.pop("connect_args", {})
    options.setdefault("poolclass", NullPool)
    engine = sqlalchemy.create_engine(
        settings.url, connect_args=arguments, use_native_hstore=False, **options
    )

    def check(connection: Any, _record: Any) -> None:
        check_server_version(connection, settings)

    attach(engine, settings)
    # Run before SQLAlchemy's own listener, which queries the server.
    event.listen(engine, "connect", check, insert=True)
    return engine
