"""The private PostgreSQL that serves when no address is given."""

from __future__ import annotations

from dbschema.tools.server.address import Address, Status
from dbschema.tools.server.binaries import Binaries, find_binaries
from dbschema.tools.server.home import default_home
from dbschema.tools.server.private import PrivateServer

__all__ = ["Address", "Binaries", "PrivateServer", "Status", "default_home", "find_binaries", "start"]


def start() -> str:
    """Start the private server if it does not run; the URL of its database. Alembic's environment finds it as entry point."""
    return PrivateServer().start().url(driver="psycopg")
