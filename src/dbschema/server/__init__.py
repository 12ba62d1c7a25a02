"""The private PostgreSQL that serves when no address is given."""

from __future__ import annotations

from dbschema.server.address import Address, Status
from dbschema.server.binaries import Binaries, find_binaries
from dbschema.server.home import default_home
from dbschema.server.private import PrivateServer

__all__ = ["Address", "Binaries", "PrivateServer", "Status", "default_home", "find_binaries"]
