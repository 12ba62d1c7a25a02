"""The engine for asyncio, with psycopg's asynchronous connections, by the same rules as the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

from dbschema._sqlalchemy import await_only
from dbschema.connect.opening import Waiting, attach, own_parameters, refuse_old_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from dbschema.connect.settings import Settings

T = TypeVar("T")

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
    engine = sqlalchemy_asyncio.create_async_engine(
        settings.url.set(drivername=_DRIVER), connect_args=arguments, use_native_hstore=False, **options
    )

    def check(connection: Any, _record: Any) -> None:
        refuse_old_server(connection, settings)

    attach(engine.sync_engine, settings)
    event.listen(engine.sync_engine, "connect", check, insert=True)
    return engine


class InTask(Waiting):
    """Waiting in a task of asyncio, where the others go on; SQLAlchemy opens connections in its greenlet."""

    blocks = False

    def pause(self, seconds: float) -> None:
        """Wait for some seconds."""
        await_only(asyncio.sleep(seconds))

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a blocking function in a thread."""
        return await_only(asyncio.to_thread(function, *arguments))
