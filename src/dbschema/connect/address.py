"""The address of a database as people write it, read into one frozen value.

libpq itself takes an address apart, so that one means here what it means to psql: several hosts, Unix sockets, parameters
after the question mark. Its complaints repeat the address, or the part that it could not read, and with it the
password; none of them is passed on.
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
# Drivers that applications name for the same server: all of them mean it, and we speak to it with psycopg.
_DRIVERS: Final = ("", "psycopg", "psycopg_async", "psycopg2", "asyncpg")
# Secrets that libpq takes as parameters; where they stood in an address, an engine would show them in its repr.
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
    """One address; its `repr` hides the password. SQLAlchemy's URL would do, and costs more to import than an upgrade.

    Args:
        user, password, host, port, database: as in `SHAPE`; `host` is one host of a network.
        parameters: all others, by libpq's names, sorted; several hosts and the folder of a socket are among them.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def query(self) -> dict[str, str]:
        """`parameters`, to look one up."""
        return dict(self.parameters)

    def libpq(self) -> dict[str, str | int]:
        """All of it, by libpq's names. With the password: do not log it."""
        named = {
            "user": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
        }
        return {key: value for key, value in named.items() if value is not None} | self.query

    def url(self) -> URL:
        """The same as SQLAlchemy writes it, with the driver psycopg."""
        from sqlalchemy import URL  # noqa: PLC0415  an upgrade with nothing to do shall not wait for it

        return URL.create(
            DRIVER, self.user, self.password, self.host, self.port, self.database, dict(self.parameters)
        )


def parse(text: str, source: str, environ: Mapping[str, str] | None = None) -> Address:
    """Read an address.

    Args:
        text: as in `SHAPE`; also ``postgres://``, ``postgresql+psycopg://``, several hosts, ``?host=/socket/folder``
            and any other parameter of libpq.
        source: where it comes from, for the error.
        environ: where libpq's PGHOST, PGPORT, PGUSER and PGDATABASE are looked up, which fill what the address leaves
            open; None: the environment.

    Raises:
        BadAddress: it cannot be read, or names no database. The error never shows the address.
    """
    if not text.strip():
        raise _bad(source, "is empty")
    parts = _ADDRESS.fullmatch(text.strip())
    if parts is None:
        raise _bad(source, "is no address of a database")
    scheme, driver, rest = parts["scheme"].lower(), parts["driver"] or "", parts["rest"]
    if scheme not in _SCHEMES:
        raise _bad(source, f"speaks of {scheme!r}, and dbschema serves PostgreSQL only")
    if driver not in _DRIVERS:
        raise _bad(source, f"names the driver {driver!r}, which dbschema does not know")
    _check_raw(rest, source)
    parameters = _parsed(rest, source)
    _check(parameters, source)
    return _address(_completed(parameters, source, Variables(environ)))


def _bad(source: str, why: str, next_step: str = f"Write it as {SHAPE}") -> BadAddress:
    return BadAddress(f"The address from {source} {why}", next_step)


def _check_raw(rest: str, source: str) -> None:
    """Refuse an address whose password holds unescaped signs: libpq would take its end for a host or a database."""
    place = rest.partition("?")[0]
    authority, _, path = place.partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _bad(
            source,
            "cannot be read: there is an '@' too many",
            "Percent-encode the signs / ? # @ : % in user name and password ('@' is %40)",
        )


def _parsed(rest: str, source: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(f"postgresql://{rest}").items()}
    except psycopg.ProgrammingError as error:
        complaint = str(error)
    if complaint.startswith("invalid URI query parameter") and "@" not in rest.partition("?")[2]:
        name = _PARAMETER.search(complaint)
        raise _bad(
            source,
            f"has the parameter {name[1]!r}, which libpq does not know"
            if name
            else "has an unknown parameter",
            "Leave it out, or take one that psql accepts",
        )
    if "percent-encoded" in complaint:
        raise _bad(
            source,
            "cannot be read: a '%' is not followed by two hexadecimal digits",
            "Percent-encode the signs / ? # @ : % in user name and password ('%' is %25)",
        )
    raise _bad(source, "cannot be read")


def _check(parameters: Mapping[str, str], source: str) -> None:
    for port in parameters.get("port", "").split(","):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            # What stands there may be the end of a password with an unescaped sign: it is not shown.
            raise _bad(source, "has a port that is no number from 1 to 65535")
    for name in _SECRETS:
        if name in parameters:
            raise _bad(
                source,
                f"holds the secret {name!r}",
                "Keep it in a service file (PGSERVICEFILE) and give the address ?service=NAME",
            )


def _completed(parameters: dict[str, str], source: str, environ: Mapping[str, str]) -> dict[str, str]:
    if "service" in parameters or environ.get("PGSERVICE"):
        return parameters
    for name, variable in _FROM_ENVIRONMENT:
        if not parameters.get(name) and environ.get(variable):
            parameters[name] = environ[variable]
    if not parameters.get("dbname"):
        # libpq would take the user's name, which is seldom the database that is meant, and sometimes is 'postgres'.
        raise _bad(source, "names no database")
    return parameters


def _address(parameters: dict[str, str]) -> Address:
    """One host of a network in its own fields, sockets and several hosts as parameters, as SQLAlchemy wants them."""
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
