"""SQLAlchemy's asynchronous engine; apart from `engine`, because it needs greenlet, which the archive for AWS Lambda lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

from dbschema.connect.connection import attach, check_server_version, own_parameters

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from dbschema.connect.settings import Settings


_ASYNC_DRIVER: Final = "postgresql+psycopg_async"


def create_async_engine(settings: Settings, **options: Any) -> AsyncEngine:
    """Create an engine for asyncio, with SQLAlchemy's pool unless `options` change it. See `create_engine`.

    Args:
        settings: the database.
        options: passed to `sqlalchemy.ext.asyncio.create_async_engine`.
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
