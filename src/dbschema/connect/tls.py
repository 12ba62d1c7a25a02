"""How a server has to prove who it is: verify-full for whatever is not on this machine.

libpq alone takes TLS where it is offered and believes any certificate, so that whoever stands between reads all.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.connect.address import Address

ROOTS: Final = Variable(
    "DB_SSL_ROOT_CERT",
    "The file with the certificates that are trusted for a server on another machine.",
    default="`PGSSLROOTCERT`, else RDS's in the archive of the function, else the system's",
    example="/opt/global-bundle.pem",
)
_MODE: Final = Variable(
    "PGSSLMODE",
    "libpq's: how a server is checked, if the address does not say.",
    default="verify-full for another machine",
    example="require",
)
_LIBPQ_ROOTS: Final = Variable(
    "PGSSLROOTCERT", "libpq's: as `DB_SSL_ROOT_CERT`, which goes before it.", example="/opt/ca.pem"
)
_OPENSSL_ROOTS: Final = Variable(
    "SSL_CERT_FILE",
    "OpenSSL's: the system's certificates.",
    default="the system's own place",
    example="/etc/ssl/cert.pem",
)
_HOME: Final = Variable("HOME", "The folder in which libpq looks for `.postgresql/root.crt`.")

BUNDLE: Final = Path(__file__).with_name("global-bundle.pem")
"""The authorities of RDS and Aurora, where the archive of the Lambda has brought them; no wheel does."""

_RDS: Final = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
_RDS_PROXY: Final = ".proxy-"  # has a certificate of Amazon's public authorities, which are not in the bundle

# OpenSSL inside psycopg's wheels looks where it was built, not where this system keeps its certificates.
_SYSTEM: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Amazon Linux, Fedora, and so AWS Lambda
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)


def secured(address: Address, environ: Mapping[str, str]) -> Address:
    """`address` with the default rules for TLS added: what it says itself stays, and so does what PGSSLMODE says.

    Args:
        address: the address; one of a service file stays as it is.
        environ: where DB_SSL_ROOT_CERT, PGSSLMODE and PGSSLROOTCERT are looked up.

    Raises:
        BadSetting: DB_SSL_ROOT_CERT names no file that can be read.
    """
    if address.database is None or not _is_remote(address):
        return address
    query = address.query
    mode = query.get("sslmode") or environ.get(_MODE) or "verify-full"
    if mode not in {"verify-ca", "verify-full"}:
        return address
    query.setdefault("sslmode", mode)
    if "sslrootcert" not in query:
        query["sslrootcert"] = _roots(environ, _hosts(address))
    return replace(address, parameters=tuple(sorted(query.items())))


def _is_remote(address: Address) -> bool:
    """Whether one of the hosts is reached over a network that others may stand in."""
    return any(not _is_local(host) for host in _hosts(address))


def _hosts(address: Address) -> list[str]:
    named = address.host or address.query.get("host")
    if not named:
        # Only a numeric address, or the socket of this machine.
        named = address.query.get("hostaddr")
    return [host for host in (named or "").split(",") if host]


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_rds(host: str) -> bool:
    return host.lower().endswith(_RDS) and _RDS_PROXY not in host.lower()


def _roots(environ: Mapping[str, str], hosts: list[str]) -> str:
    if path := environ.get(ROOTS, "").strip():
        if not os.access(path, os.R_OK) or not Path(path).is_file():
            raise BadSetting(ROOTS, f"names {path!r}, which is no file that can be read")
        return path
    if path := environ.get(_LIBPQ_ROOTS, ""):
        return path
    own = Path(environ.get(_HOME, "/nonexistent"), ".postgresql", "root.crt")  # where libpq itself looks
    bundle = str(BUNDLE) if all(map(_is_rds, hosts)) else None
    named = environ.get(_OPENSSL_ROOTS) or ssl.get_default_verify_paths().cafile
    for candidate in (str(own), bundle, named, *_SYSTEM):
        if candidate and os.access(candidate, os.R_OK):
            return candidate
    return "system"
