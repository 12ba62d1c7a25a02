"""Pooled engines for applications, built on `dbschema.connect`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import QueuePool

from dbschema import connect
from dbschema.connect import asynchronous

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_PREPARE_AFTER: Final = 5  # psycopg's default: it prepares a statement after so many executions


def create_engine(
    url: str | URL | None = None,
    *,
    proxy: bool = False,
    application_name: str | None = None,
    **options: Any,
) -> Engine:
    """Create a pooled engine for an application.

    Args:
        url: the address; None: the address in the environment, by the rules of `dbschema.connect.resolve`.
        proxy: whether connections pass a pooler in transaction mode, such as PgBouncer; RDS Proxy is detected. Then
            no statement is prepared on the server, and no setting is made while connecting.
        application_name: the name in the server's views; None: that of the address, else 'dbschema-app'.
        options: options of `sqlalchemy.create_engine`. Defaults here: `QueuePool`, and `pool_pre_ping`, which tests a
            connection before the pool returns it.

    Raises:
        ConnectError: the address is missing, or cannot be read.
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
    """Create a pooled engine for asyncio, over psycopg's async connections. See `create_engine`."""
    settings = _settings(url, proxy=proxy)
    return asynchronous.create_async_engine(settings, **_with_defaults(settings, application_name, options))


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
