"""Engines for applications: pooled, and otherwise by the rules of `dbschema.connect`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import QueuePool

from dbschema import connect
from dbschema.connect import engine

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_PREPARE_AFTER: Final = 5  # psycopg's own: a statement that is repeated so often is prepared


def create_engine(
    url: str | URL | None = None,
    *,
    proxy: bool = False,
    application_name: str | None = None,
    **options: Any,
) -> Engine:
    """A pooled engine for an application.

    Args:
        url: the address; None: what the environment names, by the rules of `dbschema.connect.sources`.
        proxy: whether a pooler in transaction mode, such as PgBouncer, stands between; RDS Proxy is seen by itself.
            Nothing is then prepared on the server, and nothing set while connecting.
        application_name: what the server's views call the connections, unless the address does; 'dbschema-app'.
        options: of `sqlalchemy.create_engine`, over what stands here: a pool that asks a connection before it hands it out.

    Raises:
        ConnectError: the address cannot be read, or none is given.
    """
    settings = _settings(url, proxy=proxy)
    options.setdefault("poolclass", QueuePool)
    return connect.create_engine(settings, **_with_defaults(settings, application_name, options))


def create_async_engine(
    url: str | URL | None = None,
    *,
    proxy: bool = False,
    application_name: str | None = None,
    **options: Any,
) -> AsyncEngine:
    """The same for asyncio, with psycopg's asynchronous connections. See `create_engine`."""
    settings = _settings(url, proxy=proxy)
    return engine.create_async_engine(settings, **_with_defaults(settings, application_name, options))


def _settings(url: str | URL | None, *, proxy: bool) -> connect.Settings:
    settings = connect.resolve(url, source="the address of create_engine")
    return replace(settings, proxy=True) if proxy else settings


def _with_defaults(
    settings: connect.Settings, application_name: str | None, options: dict[str, Any]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {"prepare_threshold": None if settings.proxy else _PREPARE_AFTER}
    if application_name is not None or "application_name" not in settings.url.query:
        arguments["application_name"] = application_name or "dbschema-app"
    return {
        "pool_pre_ping": True,
        **options,
        "connect_args": {**arguments, **options.get("connect_args", {})},
    }
