"""Which database is meant: the address and where it came from, as one frozen value.

Addresses come from the caller, the environment, or the private server, in this order. Every further source (a secret
store, a parameter store) is one more step of `resolve` that ends in the same `Settings`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dbschema.connect.address import parse
from dbschema.connect.errors import NoAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import URL

FLAG: Final = "--url"
ENVIRONMENT: Final = "DATABASE_URL"
PRIVATE: Final = "the private server"

_DEFAULT_PORT: Final = "5432"


@dataclass(frozen=True)
class Settings:
    """One database. Neither `repr` nor `place` shows the password.

    Args:
        url: the address, with the driver psycopg; its own `str` hides the password too.
        source: where the address came from: `FLAG`, `ENVIRONMENT`, `PRIVATE`, or words of the caller.
    """

    url: URL = field(repr=False)
    source: str

    def __repr__(self) -> str:
        return f"Settings({self.place!r}, user={self.user!r}, source={self.source!r})"

    @property
    def is_private(self) -> bool:
        """Whether this is the private server, which may be emptied without asking twice."""
        return self.source == PRIVATE

    @property
    def database(self) -> str:
        """The database; of a service file, the name of the service."""
        if self.url.database is not None:
            return self.url.database
        return f"service {self._parameter('service') or os.environ.get('PGSERVICE', '')}"

    @property
    def user(self) -> str | None:
        """The user; None: whoever runs this program, or whom the service file names."""
        return self.url.username

    @property
    def host(self) -> str | None:
        """Host, or hosts with commas, or the folder of a Unix socket; None: libpq's own choice."""
        return self.url.host or self._parameter("host")

    @property
    def server(self) -> str:
        """The server in words, such as '127.0.0.1:5433'."""
        host = self.host
        if host is None:
            return "the local socket" if self.url.database is not None else "the server of the service file"
        port = str(self.url.port) if self.url.port else self._parameter("port") or _DEFAULT_PORT
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
        query = {key: str(value) for key, value in self.url.query.items()}
        user = "" if self.url.username is None else quote(self.url.username, safe="")
        if password and self.url.password is not None:
            user += f":{quote(self.url.password, safe='')}"
        host = self.url.host or ""
        host = f"[{host}]" if ":" in host else quote(host, safe="")
        port = "" if self.url.port is None else f":{self.url.port}"
        name = quote(self.url.database or "", safe="")
        parameters = "&".join(
            f"{quote(key, safe='')}={quote(value, safe='/')}" for key, value in query.items()
        )
        return f"postgresql://{user}{'@' if user else ''}{host}{port}/{name}{'?' if parameters else ''}{parameters}"

    def _parameter(self, name: str) -> str | None:
        value = self.url.query.get(name)
        return None if value is None else str(value)


def resolve(
    url: str | URL | None = None,
    *,
    fallback: Callable[[], str] | None = None,
    environ: Mapping[str, str] | None = None,
    source: str = FLAG,
) -> Settings:
    """The database that is meant: `url`, else DATABASE_URL, else what `fallback` gives.

    Args:
        url: an address; an empty one is an error, for a script whose variable is unset means no other database.
        fallback: gives the address of the private server, and starts it where it does not run. It is handed in: this
            package does not know the server.
        environ: where DATABASE_URL is looked up; None: the environment. An empty one counts as unset.
        source: what to call the place that `url` comes from.

    Raises:
        BadAddress: the first address that is set cannot be read.
        NoAddress: none is set, and there is no fallback.
    """
    environ = os.environ if environ is None else environ
    if url is not None:
        text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        return Settings(parse(text, source, environ), source)
    if text := environ.get(ENVIRONMENT, "").strip():
        return Settings(parse(text, ENVIRONMENT, environ), ENVIRONMENT)
    if fallback is not None:
        return Settings(parse(fallback(), PRIVATE, {}), PRIVATE)
    raise NoAddress
