"""Which database is meant, and how a connection to it is opened, as one frozen value; `sources` makes it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import quote

from dbschema.environment import Variable

if TYPE_CHECKING:
    from sqlalchemy import URL


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
    """A database as errors name it: `Settings` of a connection, or `DataApi`."""

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
    """One database. Neither `repr` nor `place` shows the password.

    Args:
        address: the address; its own `repr` hides the password too.
        source: where the address came from: `FLAG`, a variable such as `ENVIRONMENT`, `PRIVATE`, or words of the caller.
        secret: the name or ARN of the secret that user and password came from; it is read again when the server
            refuses them, for they may have been rotated.
        iam: whether a token of AWS is made for each connection, in place of a password.
        proxy: whether RDS Proxy stands between, which keeps a server connection for whoever sets something in it.
        wake_seconds: how long to wait for a server that does not answer yet, as a paused Aurora; 0: not at all.
        failover_seconds: how long to wait for an instance of the cluster that accepts changes; 0: connections go where the
            address says, and nobody looks who writes.
        failover_hosts: the hosts of the instances, with a question mark for their names; None: as RDS calls them.
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
        """The same server, user and rules, and another database."""
        return replace(self, address=replace(self.address, database=name))

    @property
    def is_private(self) -> bool:
        """Whether this is the private server, which may be emptied without asking twice."""
        return self.source == PRIVATE

    @property
    def database(self) -> str:
        """The database; of a service file, the name of the service."""
        if self.address.database is not None:
            return self.address.database
        return f"service {self._parameter('service') or os.environ.get(SERVICE, '')}"

    @property
    def user(self) -> str | None:
        """The user; None: whoever runs this program, or whom the service file names."""
        return self.address.user

    @property
    def host(self) -> str | None:
        """Host, or hosts with commas, or the folder of a Unix socket; None: libpq's own choice."""
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
        """The address as psql and every other libpq client reads it. With the password: do not log it.

        Args:
            password: False leaves it out, for an argument that others on this machine can read.
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
