"""Require TLS with a verified certificate (verify-full) for each server on another machine.

By default, libpq uses TLS only if the server offers it, and accepts any certificate: a man in the middle can read all
data.
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
    "The file with the trusted certificates for a server on another machine.",
    default="`PGSSLROOTCERT`, else those of RDS in the archive of the function, else those of the system",
    example="/opt/global-bundle.pem",
)
_MODE: Final = Variable(
    "PGSSLMODE",
    "libpq's: how a server is verified, if the address does not set `sslmode`.",
    default="verify-full for another machine",
    example="require",
)
_LIBPQ_ROOTS: Final = Variable(
    "PGSSLROOTCERT", "libpq's: as `DB_SSL_ROOT_CERT`, which takes precedence.", example="/opt/ca.pem"
)
_OPENSSL_ROOTS: Final = Variable(
    "SSL_CERT_FILE",
    "OpenSSL's: the certificates of the system.",
    default="the system's own place",
    example="/etc/ssl/cert.pem",
)
_HOME: Final = Variable("HOME", "The folder in which libpq looks for `.postgresql/root.crt`.")

BUNDLE: Final = Path(__file__).with_name("global-bundle.pem")
"""The certificate authorities of RDS and Aurora; only the archive of the Lambda function contains the file."""

_RDS: Final = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
_RDS_PROXY: Final = (
    ".proxy-"  # its certificate is from Amazon's public authorities, which the bundle does not contain
)

# OpenSSL in psycopg's wheels searches the paths of its build machine, not those of this system.
_SYSTEM: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Amazon Linux, AWS Lambda, Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)


def secured(address: Address, environ: Mapping[str, str]) -> Address:
    """Add the default rules for TLS to an address; its own parameters and PGSSLMODE take precedence.

    Args:
        address: the address; one of a service file is returned unchanged.
        environ: contains DB_SSL_ROOT_CERT, PGSSLMODE and PGSSLROOTCERT.

    Raises:
        BadSetting: DB_SSL_ROOT_CERT does not name a readable file.
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
    """Return whether one of the hosts is on another machine."""
    return any(not _is_local(host) for host in _hosts(address))


def _hosts(address: Address) -> list[str]:
    hosts = address.host or address.query.get("host")
    if not hosts:
        # Only a numeric address, or the socket of this machine.
        hosts = address.query.get("hostaddr")
    return [host for host in (hosts or "").split(",") if host]


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
            raise BadSetting(ROOTS, f"names {path!r}, which is not a readable file")
        return path
    if path := environ.get(_LIBPQ_ROOTS, ""):
        return path
    own = Path(environ.get(_HOME, "/nonexistent"), ".postgresql", "root.crt")  # the default of libpq
    bundle = str(BUNDLE) if all(map(_is_rds, hosts)) else None
    openssl = environ.get(_OPENSSL_ROOTS) or ssl.get_default_verify_paths().cafile
    for candidate in (str(own), bundle, openssl, *_SYSTEM):
        if candidate and os.access(candidate, os.R_OK):
            return candidate
    return "system"
