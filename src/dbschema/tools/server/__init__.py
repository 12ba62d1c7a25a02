"""Run a private PostgreSQL server for callers that configure no database address."""

from __future__ import annotations

from dbschema.tools.server.address import Address, Status
from dbschema.tools.server.binaries import Binaries, find_binaries
from dbschema.tools.server.home import default_home
from dbschema.tools.server.private import PrivateServer

__all__ = ["Address", "Binaries", "PrivateServer", "Status", "default_home", "find_binaries", "start"]


def start() -> str:
    """Start the private server if it does not run, and return the URL of its database.

    It is an entry point of the group `dbschema.servers`, which Alembic's environment reads.
    """
    return PrivateServer().start().url(driver="psycopg")
