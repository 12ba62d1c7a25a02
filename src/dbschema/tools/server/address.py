"""Where a private server is reached, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
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
