"""Where a private server is reached, and how it stands.

A loopback port of the private server's own.

The ports lie below the range from which systems take the outgoing ends of connections, so that a stopped server finds
its port free again; the first choice follows from the home, so that two projects seldom meet.
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
"""The only address that the private server listens on."""

USER = "dbschema"
"""The superuser of the cluster."""

DATABASE = "dbschema"
"""The database that is there from the start."""


@dataclass(frozen=True)
class Address:
    """Where a running private server is reached.

    Its `repr` hides the password; `url()` does not, because that is what a URL is for: do not log it.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket_dir: Path

    def url(self, database: str | None = None, *, driver: str = "") -> str:
        """The address as one URL, over loopback TCP, so that it serves every client on this machine.

        Args:
            database: another database of the same server; None: the one of this address.
            driver: the driver in SQLAlchemy's spelling, as in ``postgresql+psycopg://``; empty: what libpq reads.
        """
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        name = quote(database or self.database, safe="")
        return f"{scheme}://{user}:{password}@{self.host}:{self.port}/{name}"


@dataclass(frozen=True)
class Status:
    """How a private server stands; everything but `running` and `home` can be unknown.

    `version` and `bin_dir` tell which PostgreSQL serves, or served last. `address` is None where the server does not
    run, and where its password is gone (the next start repairs that).
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
    """Whether a server could listen on `port` of the loopback address now.

    It listens, as PostgreSQL will: a mere bind succeeds beside another program's bound port. Connections of an
    earlier run that still fade away do not count.
    """
    import socket  # noqa: PLC0415  it takes time to load, and only a start needs it

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port(home: Path, stored: int | None = None, avoid: Container[int] = ()) -> int:
    """A free port for the server of `home`: the stored one where possible.

    Args:
        stored: the port of the last run.
        avoid: ports on which the server has just failed.
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
