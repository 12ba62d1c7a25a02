"""The engine for the schema's own work: one connection at a time, a deadline for each, no server that is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import NullPool, event

from dbschema.connect.opening import attach, own_parameters, refuse_old_server

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dbschema.connect.settings import Settings


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
    arguments = own_parameters(settings) | options.pop("connect_args", {})
    options.setdefault("poolclass", NullPool)
    engine = sqlalchemy.create_engine(
        settings.url, connect_args=arguments, use_native_hstore=False, **options
    )

    def check(connection: Any, _record: Any) -> None:
        refuse_old_server(connection, settings)

    attach(engine, settings)
    # First of all listeners: SQLAlchemy's own would ask the old server for its details.
    event.listen(engine, "connect", check, insert=True)
    return engine
