"""Resolve the database of a command, and start the private server if no other database is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.connect import DataApi, Settings
    from dbschema.tools.cli.output import Screen


def database(url: str | None, screen: Screen) -> Settings:
    """Return the settings of the database; start the private server if no other database is configured."""
    from dbschema import connect  # noqa: PLC0415  imports psycopg

    return connect.resolve(url, fallback=lambda: start_private(screen))


def database_or_data_api(url: str | None, screen: Screen) -> Settings | DataApi:
    """Return the settings as `database` does, for a command that also supports the RDS Data API."""
    from dbschema import connect  # noqa: PLC0415  imports psycopg

    found = connect.behind_data_api() if url is None else None
    return found or database(url, screen)


def start_private(screen: Screen) -> str:
    """Start the private server if it does not run, and return its address."""
    from dbschema.tools.server import PrivateServer  # noqa: PLC0415  slow to import, and few calls need it

    server = PrivateServer()
    running = server.status().address
    if running is not None:
        return server.start().url()  # it also creates the database if it is absent
    with screen.step(f"Start the private server in {server.home}"):
        return server.start().url()
