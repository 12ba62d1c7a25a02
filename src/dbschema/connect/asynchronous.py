"""The engine for asyncio, with psycopg's asynchronous connections, by the same rules as the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.ext import asyncio

from dbschema.connect.opening import attach, own_parameters, refuse_old_server

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from dbschema.connect.settings import Settings

_DRIVER: Final = "postgresql+psycopg_async"


def create_async_engine(settings: Settings, **options: Any) -> AsyncEngine:
    """An engine for `settings` under asyncio, pooled unless `options` say otherwise.

    Args:
        settings: the database.
        options: handed on to `sqlalchemy.ext.asyncio.create_async_engine`.

    Raises:
        ServerTooOld: on connecting, by the engine.
    """
    arguments = own_parameters(settings) | options.pop("connect_args", {})
    engine = asyncio.create_async_engine(
        settings.url.set(drivername=_DRIVER), connect_args=arguments, use_native_hstore=False, **options
    )

    def check(connection: Any, _record: Any) -> None:
        refuse_old_server(connection, settings)

    attach(engine.sync_engine, settings)
    event.listen(engine.sync_engine, "connect", check, insert=True)
    return engine
