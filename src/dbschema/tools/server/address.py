"""Describe the address and the status of a private server, and choose its port.

The port belongs to the loopback interface. The preferred ports are below the ephemeral port range of the system, so an
outgoing connection does not occupy the port of a stopped server. The first choice depends on a hash of the home, so two
projects seldom choose the same port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dbschema.tools.server.home import path_hash

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path


HOST = "127.0.0.1"
"""The only TCP address on which the private server listens."""

USER = "dbschema"
"""The superuser of the cluster."""

DATABASE = "dbschema"
"""The database that each start creates if it is absent."""


@dataclass(frozen=True)
class Address:
    """The address of a running private server.

    The `repr` hides the password. `url()` contains it: do not log the result.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket_dir: Path

    def url(self, database: str | None = None, *, driver: str = "") -> str:
        """Return the address as a URL over loopback TCP, which every client on this machine can use.

        Args:
            database: another database of the same server; None: the database of this address.
            driver: the driver in SQLAlchemy's spelling, as in ``postgresql+psycopg://``; empty: a URL for libpq.
        """
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        name = quote(database or self.database, safe="")
        return f"{scheme}://{user}:{password}@{self.host}:{self.port}/{name}"


@dataclass(frozen=True)
class Status:
    """The status of a private server; each field except `running` and `home` is None if it is unknown.

    `version` and `bin_dir` identify the PostgreSQL that runs, or that ran last. `address` is None if the server does not
    run or is not ready, or if its password file is missing (the next start sets a new password).
    """

    running: bool
    pid: int | None
    port: int | None
    home: Path
    version: str | None
    bin_dir: Path | None
    address: Address | None


FIRST_PORT: Final = 20_000
LAST_PORT: Final = 29_999
_TRIES: Final = 50


def is_free(port: int) -> bool:
    """Return whether a server can listen on `port` of the loopback address now.

    The probe calls listen() as PostgreSQL does: bind() alone succeeds on a port that another program has bound. Closed
    connections of an earlier run (TIME_WAIT) do not make the port unavailable.
    """
    import socket  # noqa: PLC0415  slow to import, and only a start uses it

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port(home: Path, stored: int | None = None, avoid: Container[int] = ()) -> int:
    """Return a free port for the server of `home`: the stored port if it is free.

    Args:
        home: the home of the server.
        stored: the port of the last run.
        avoid: ports on which the server has just failed to start.
    """
    if stored is not None and stored not in avoid and is_free(stored):
        return stored
    import socket  # noqa: PLC0415  as above

    count = LAST_PORT - FIRST_PORT + 1
    start = int(path_hash(home), 16) % count
    for step in range(_TRIES):
        port = FIRST_PORT + (start + step) % count
        if port not in avoid and is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
