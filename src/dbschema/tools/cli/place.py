"""The database that a command means; the private server is started where it is that one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.connect import DataApi, Settings
    from dbschema.tools.cli.output import Screen


def database(url: str | None, screen: Screen) -> Settings:
    """The database that is meant; the private server is started where it is that one."""
    from dbschema import connect  # noqa: PLC0415  imports psycopg

    return connect.resolve(url, fallback=lambda: start_private(screen))


def database_or_data_api(url: str | None, screen: Screen) -> Settings | DataApi:
    """As `database`, for a command that also goes through the RDS Data API."""
    from dbschema import connect  # noqa: PLC0415  imports psycopg

    found = connect.behind_data_api() if url is None else None
    return found or database(url, screen)


def start_private(screen: Screen) -> str:
    """Start the private server, where it does not run already; its address."""
    from dbschema.tools.server import PrivateServer  # noqa: PLC0415  costs time, and few need it

    server = PrivateServer()
    running = server.status().address
    if running is not None:
        return server.start().url()  # it also sees that the database is there
    with screen.step(f"Start the private server in {server.home}"):
        return server.start().url()
