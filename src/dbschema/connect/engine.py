"""The engine for the schema's own work: one connection at a time, a deadline for each, no server that is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import NullPool, event
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

from dbschema.connect.connection import attach, check_server_version, own_parameters

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from dbschema.connect.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dbschema.connect.settings import Settings

_ASYNC_DRIVER: Final = "postgresql+psycopg_async"


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
        check_server_version(connection, settings)

    attach(engine, settings)
    # First of all listeners: SQLAlchemy's own would ask the old server for its details.
    event.listen(engine, "connect", check, insert=True)
    return engine


def create_async_engine(settings: Settings, **options: Any) -> AsyncEngine:
    """An engine for `settings` under asyncio, pooled unless `options` say otherwise.

    Args:
        settings: the database.
        options: handed on to `sqlalchemy.ext.asyncio.create_async_engine`.

    Raises:
        ServerTooOld: on connecting, by the engine.
    """
    arguments = own_parameters(settings) | options.pop("connect_args", {})
    engine = sqlalchemy_asyncio.create_async_engine(
        settings.url.set(drivername=_ASYNC_DRIVER), connect_args=arguments, use_native_hstore=False, **options
    )

    def check(connection: Any, _record: Any) -> None:
        check_server_version(connection, settings)

    attach(engine.sync_engine, settings)
    event.listen(engine.sync_engine, "connect", check, insert=True)
    return engine
