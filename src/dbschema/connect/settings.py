"""Define `Settings`: a database and the rules for a connection to it, as a frozen value. `sources` creates it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import quote

from dbschema.environment import Variable

if TYPE_CHECKING:
    from sqlalchemy import URL

    from dbschema.connect.address import Address

FLAG: Final = "--url"
ENVIRONMENT: Final = Variable(
    "DATABASE_URL",
    "The address of the database; `--url` goes before it.",
    default="what the next variables name, else the private server",
    example="postgresql://ada@db.example.com:5432/shop",
)
SERVICE: Final = Variable(
    "PGSERVICE", "libpq's: the service of `pg_service.conf` that completes an address.", example="shop"
)
PRIVATE: Final = "the private server"

_DEFAULT_PORT: Final = "5432"


class Endpoint(Protocol):
    """A database with the names that an error shows: `Settings` of a connection, or `DataApi`."""

    @property
    def place(self) -> str:
        """The database in words, such as 'dbschema at 127.0.0.1:5433'."""

    @property
    def server(self) -> str:
        """The server in words."""

    @property
    def database(self) -> str:
        """The name of the database."""

    @property
    def user(self) -> str | None:
        """The user; None if it is not known."""

    @property
    def source(self) -> str:
        """The option or variable that named the database."""


@dataclass(frozen=True)
class Settings:
    """A database and how to connect to it. Neither `repr` nor `place` shows the password.

    Args:
        address: the address; its own `repr` hides the password too.
        source: the origin of the address: `FLAG`, a variable such as `ENVIRONMENT`, `PRIVATE`, or a text of the caller.
        secret: the name or ARN of the secret with user and password. It is read again if the server rejects them,
            because they may have been rotated.
        iam: create an IAM token for each connection instead of a password.
        proxy: the address is that of an RDS Proxy, which pins a server connection to a client that changes a setting.
        wake_seconds: how long to wait for a server that does not answer yet, such as a paused Aurora; 0: do not wait.
        failover_seconds: how long to wait for the writer of the cluster; 0: connect to the address without looking for
            the writer.
        failover_hosts: the host pattern of the instances, with a question mark for the instance; None: derived from the
            name of RDS.
    """

    address: Address = field(repr=False)
    source: str
    secret: str | None = None
    iam: bool = False
    proxy: bool = False
    wake_seconds: float = 0.0
    failover_seconds: float = 0.0
    failover_hosts: str | None = None

    def __repr__(self) -> str:
        return f"Settings({self.place!r}, user={self.user!r}, source={self.source!r})"

    @cached_property
    def url(self) -> URL:
        """The address as SQLAlchemy's URL, with the driver psycopg; its own `str` hides the password too."""
        return self.address.url()

    def for_database(self, name: str) -> Self:
        """Return settings for another database of the same server."""
        return replace(self, address=replace(self.address, database=name))

    @property
    def is_private(self) -> bool:
        """Whether this is the private server, whose data may be deleted without a confirmation."""
        return self.source == PRIVATE

    @property
    def database(self) -> str:
        """The name of the database; with a service file, the name of the service."""
        if self.address.database is not None:
            return self.address.database
        return f"service {self._parameter('service') or os.environ.get(SERVICE, '')}"

    @property
    def user(self) -> str | None:
        """The user; None: the user of the operating system, or that of the service file."""
        return self.address.user

    @property
    def host(self) -> str | None:
        """The host, several hosts with commas, or the folder of a Unix socket; None: the default of libpq."""
        return self.address.host or self._parameter("host")

    @property
    def server(self) -> str:
        """The server in words, such as '127.0.0.1:5433'."""
        host = self.host
        if host is None:
            return (
                "the local socket" if self.address.database is not None else "the server of the service file"
            )
        port = str(self.address.port) if self.address.port else self._parameter("port") or _DEFAULT_PORT
        if host.startswith("/"):
            return host if port == _DEFAULT_PORT else f"{host} (port {port})"
        hosts, ports = host.split(","), port.split(",")
        ports += [ports[-1]] * (len(hosts) - len(ports))
        return ",".join(
            f"[{name}]:{number or _DEFAULT_PORT}" if ":" in name else f"{name}:{number or _DEFAULT_PORT}"
            for name, number in zip(hosts, ports, strict=False)
        )

    @property
    def place(self) -> str:
        """The database in words, such as 'dbschema at 127.0.0.1:5433'."""
        return f"{self.database} at {self.server}"

    def libpq_url(self, *, password: bool = True) -> str:
        """Return the address for psql and other clients of libpq, with the password: do not log it.

        Args:
            password: False omits it, for a command line that other users of the machine can read.
        """
        user = "" if self.address.user is None else quote(self.address.user, safe="")
        if password and self.address.password is not None:
            user += f":{quote(self.address.password, safe='')}"
        host = self.address.host or ""
        host = f"[{host}]" if ":" in host else quote(host, safe="")
        port = "" if self.address.port is None else f":{self.address.port}"
        name = quote(self.address.database or "", safe="")
        parameters = "&".join(
            f"{quote(key, safe='')}={quote(value, safe='/')}" for key, value in self.address.parameters
        )
        return f"postgresql://{user}{'@' if user else ''}{host}{port}/{name}{'?' if parameters else ''}{parameters}"

    def _parameter(self, name: str) -> str | None:
        return self.address.query.get(name)


FAILOVER: Final = Variable(
    "DB_FAILOVER_SECONDS",
    "How long to follow a failover of Aurora to an instance that accepts changes, in seconds, 1 to 900; 0: not at all.",
    default="0",
    example="60",
)


FAILOVER_HOSTS: Final = Variable(
    "DB_FAILOVER_HOSTS",
    "The pattern of the instances' host names, if the address has a name of its own for the cluster.",
    example="?.db.example.com",
)
