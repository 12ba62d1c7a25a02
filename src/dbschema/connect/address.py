"""Parse the address of a database into a frozen value.

libpq parses the address, so that it means the same here as in psql: several hosts, Unix sockets, parameters after the
question mark. The error messages of libpq repeat the address, and with it the password. They are never passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dbschema.environment import Variable
from dbschema.errors import BadAddress
from dbschema.secrecy import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL

DRIVER: Final = "postgresql+psycopg"
SHAPE: Final = "postgresql://user@host:5432/database"

_SCHEMES: Final = ("postgresql", "postgres")
# Drivers that applications name for a PostgreSQL server. This package connects with psycopg in all cases.
_DRIVERS: Final = ("", "psycopg", "psycopg_async", "psycopg2", "asyncpg")
# Secrets that libpq accepts as parameters. The repr of an engine would show them.
_SECRETS: Final = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_FROM_ENVIRONMENT: Final = (
    ("host", Variable("PGHOST", "libpq's: the host, if the address has none.", example="db.example.com")),
    (
        "port",
        Variable("PGPORT", "libpq's: the port, if the address has none.", default="5432", example="5433"),
    ),
    ("user", Variable("PGUSER", "libpq's: the user, if the address has none.", example="ada")),
    ("dbname", Variable("PGDATABASE", "libpq's: the database, if the address has none.", example="shop")),
)
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9]*)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.ASCII | re.DOTALL
)
_PARAMETER: Final = re.compile(r'"([a-z_]+)"', re.ASCII)


@dataclass(frozen=True)
class Address:
    """The address of a database. Its `repr` hides the password.

    It replaces SQLAlchemy's URL, whose import takes longer than an upgrade with nothing to do.

    Args:
        user, password, host, port, database: as in `SHAPE`; `host` is a single network host.
        parameters: all other parameters by their libpq names, sorted. Several hosts, or the folder of a socket, are
            the parameter `host`.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def query(self) -> dict[str, str]:
        """`parameters` as a dictionary."""
        return dict(self.parameters)

    def libpq(self) -> dict[str, str | int]:
        """Return all parts by their libpq names, with the password. Do not log them."""
        named = {
            "user": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
        }
        return {key: value for key, value in named.items() if value is not None} | self.query

    def url(self) -> URL:
        """Return the address as SQLAlchemy's URL, with the driver psycopg."""
        from sqlalchemy import URL  # noqa: PLC0415  slow to import; an upgrade with nothing to do does not need it

        return URL.create(
            DRIVER, self.user, self.password, self.host, self.port, self.database, dict(self.parameters)
        )


def parse(text: str, source: str, environ: Mapping[str, str] | None = None) -> Address:
    """Parse an address.

    Args:
        text: as in `SHAPE`; also ``postgres://``, ``postgresql+psycopg://``, several hosts, ``?host=/socket/folder``
            and any other parameter of libpq.
        source: the option or variable with the address, for the error.
        environ: contains libpq's PGHOST, PGPORT, PGUSER and PGDATABASE, which replace missing parts of the address;
            None: the environment of the process.

    Raises:
        BadAddress: the address cannot be parsed, or names no database. The error never shows the address.
    """
    if not text.strip():
        raise _bad(source, "is empty")
    parts = _ADDRESS.fullmatch(text.strip())
    if parts is None:
        raise _bad(source, "is not the address of a database")
    scheme, driver, rest = parts["scheme"].lower(), parts["driver"] or "", parts["rest"]
    if scheme not in _SCHEMES:
        raise _bad(source, f"has the scheme {scheme!r}, and dbschema supports PostgreSQL only")
    if driver not in _DRIVERS:
        raise _bad(source, f"names the driver {driver!r}, which dbschema does not know")
    _check_raw(rest, source)
    parameters = _parsed(rest, source)
    _check(parameters, source)
    return _address(_completed(parameters, source, Variables(environ)))


def _bad(source: str, why: str, next_step: str = f"Write it as {SHAPE}") -> BadAddress:
    return BadAddress(f"The address from {source} {why}", next_step)


def _check_raw(rest: str, source: str) -> None:
    """Reject an address with an unescaped character in its password: libpq would read the rest as host or database."""
    place = rest.partition("?")[0]
    authority, _, path = place.partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _bad(
            source,
            "cannot be read: it has more than one '@'",
            "Percent-encode the characters / ? # @ : % in user name and password ('@' is %40)",
        )


def _parsed(rest: str, source: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(f"postgresql://{rest}").items()}
    except psycopg.ProgrammingError as error:
        message = str(error)
    if message.startswith("invalid URI query parameter") and "@" not in rest.partition("?")[2]:
        name = _PARAMETER.search(message)
        raise _bad(
            source,
            f"has the parameter {name[1]!r}, which libpq does not know"
            if name
            else "has an unknown parameter",
            "Remove it, or use a parameter that psql accepts",
        )
    if "percent-encoded" in message:
        raise _bad(
            source,
            "cannot be read: a '%' is not followed by two hexadecimal digits",
            "Percent-encode the characters / ? # @ : % in user name and password ('%' is %25)",
        )
    raise _bad(source, "cannot be read")


def _check(parameters: Mapping[str, str], source: str) -> None:
    for port in parameters.get("port", "").split(","):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            # Do not show the value: it may be the end of a password with an unescaped character.
            raise _bad(source, "has a port that is not a number from 1 to 65535")
    for name in _SECRETS:
        if name in parameters:
            raise _bad(
                source,
                f"contains the secret {name!r}",
                "Move it to a service file (PGSERVICEFILE) and add ?service=NAME to the address",
            )


def _completed(parameters: dict[str, str], source: str, environ: Mapping[str, str]) -> dict[str, str]:
    if "service" in parameters or environ.get("PGSERVICE"):
        return parameters
    for name, variable in _FROM_ENVIRONMENT:
        if not parameters.get(name) and environ.get(variable):
            parameters[name] = environ[variable]
    if not parameters.get("dbname"):
        # The default of libpq is the name of the user: rarely the right database, and sometimes 'postgres'.
        raise _bad(source, "names no database")
    return parameters


def _address(parameters: dict[str, str]) -> Address:
    """Store a single network host in fields; store a socket or several hosts as parameters, as SQLAlchemy requires."""
    rest = dict(parameters)
    user, password, database = (rest.pop(name, None) for name in ("user", "password", "dbname"))
    host, port = rest.pop("host", None), rest.pop("port", None)
    if host is None or (host.startswith("/") or "," in host):
        if host is not None:
            rest["host"] = host
            if port is not None and "," in host and "," not in port:
                port = ",".join([port] * len(host.split(",")))
        if port is not None:
            rest["port"] = port
        host = port = None
    return Address(user, password, host, int(port) if port else None, database, tuple(sorted(rest.items())))
