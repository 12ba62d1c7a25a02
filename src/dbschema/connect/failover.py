"""Connections to whichever instance of an Aurora cluster writes at this moment, found by the AWS Advanced Python Wrapper.

The wrapper knows the instances of the cluster, watches who writes, and waits where nobody does. It opens our connections, and
no more: what it would make of each statement's errors (errors of its own, that hide PostgreSQL's code) is of no use to a run that
tries again by that code. Whoever loses such a connection opens another, which leads to the new writer.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import psycopg

from dbschema.connect import errors
from dbschema.connect.errors import NoWriter
from dbschema.connect.settings import FAILOVER, FAILOVER_HOSTS
from dbschema.connect.translation import translate
from dbschema.errors import BadSetting, ExtraMissing
from dbschema.secrecy import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dbschema.connect.settings import Settings

_GONE: Final = (
    errors.Unreachable,
    errors.NotReady,
    errors.ConnectionLost,
    errors.TooManyConnections,
)
_SILENT: Final = logging.NullHandler()
_RDS: Final = re.compile(r"\.rds\.amazonaws\.com(\.cn)?$", re.IGNORECASE)
_PATTERN: Final = re.compile(r"[\w.-]*\?[\w.-]*")
# A statement that only a writer executes, and that changes nothing there.
_WRITERS_ONLY: Final = "DROP TABLE IF EXISTS pg_temp.dbschema_no_such_table"


def check(settings: Settings) -> None:
    """Raise where the instances of the cluster could not be found from this address.

    Raises:
        BadSetting: it names several hosts or a numeric address, leads through a proxy, or to a host that is not RDS's own
            while DB_FAILOVER_HOSTS does not tell how the instances are called.
    """
    address = settings.address
    if settings.proxy:
        raise BadSetting(
            FAILOVER,
            "is set, and RDS Proxy stands between, which does that itself",
            "Unset it, or name the cluster",
        )
    if address.host is None or "hostaddr" in address.query:
        raise BadSetting(
            FAILOVER,
            f"is set, and the address from {settings.source} names no single host by its name",
            "Name the writer endpoint",
        )
    pattern = settings.failover_hosts
    if pattern is None and not _RDS.search(address.host):
        raise BadSetting(
            FAILOVER,
            f"is set, and {address.host} is no name of RDS, from which those of the instances follow",
            f"Set {FAILOVER_HOSTS} to their hosts, with a question mark for their names, such as ?.db.example.com",
        )
    if pattern is not None and _PATTERN.fullmatch(pattern) is None:
        raise BadSetting(
            FAILOVER_HOSTS,
            f"is {pattern!r}",
            "Write the hosts of the instances with one question mark for their names, such as ?.db.example.com",
        )


def connect(
    settings: Settings, make: Callable[[dict[str, Any]], psycopg.Connection], parameters: Mapping[str, Any]
) -> psycopg.Connection:
    """A connection to the instance that writes.

    Args:
        settings: with `failover_seconds`, how long to wait for one that writes.
        make: opens a connection of libpq's parameters and psycopg's; also called by threads of the wrapper, which watch
            all instances.
        parameters: for `make`, with the host of the cluster or of any instance.

    Raises:
        ExtraMissing: the wrapper is not installed.
        NoWriter: none was found in time.
        psycopg.Error: what the server says.
    """
    try:
        from aws_advanced_python_wrapper import AwsWrapperConnection  # type: ignore[import-untyped]  # noqa: PLC0415  it has none, is an extra, and slow to import
        from aws_advanced_python_wrapper import errors as theirs  # noqa: PLC0415  as above
    except ImportError as error:
        what = "DB_FAILOVER_SECONDS needs the AWS Advanced Python Wrapper, which is not installed"
        raise ExtraMissing(what, "failover") from error
    # What it logs is for those who ask for it; without a handler, Python would print the worst of it.
    logging.getLogger("aws_advanced_python_wrapper").addHandler(_SILENT)

    def open_one(**arguments: Any) -> psycopg.Connection:
        # Outside of transactions, so that those which only watch are in none.
        arguments = Parameters({**arguments, "autocommit": True})
        try:
            return make(arguments)
        except psycopg.OperationalError as error:
            # The wrapper takes all of them for a writer that is gone, and would look for another with the wrong password.
            refusal = translate(error, settings)
            if isinstance(refusal, _GONE):
                raise
            raise refusal from error

    given = Parameters({key: value for key, value in parameters.items() if key != "autocommit"})
    try:
        wrapped = AwsWrapperConnection.connect(
            open_one,
            **given,
            **_wrapper_settings(settings),
        )
        if _is_standby(wrapped.target_connection):
            # The name has led to an instance that was the writer: the wrapper looks for the new one when it is told so.
            try:
                wrapped.cursor().execute(_WRITERS_ONLY)
            except theirs.FailoverFailedError:
                raise
            except theirs.FailoverError:
                pass
    except (theirs.AwsWrapperError, theirs.FailoverError) as error:
        driver = getattr(error, "driver_error", None)
        if isinstance(driver, psycopg.Error):
            raise driver from error
        raise NoWriter(settings, " ".join(str(error).split()).rstrip(".")) from error
    connection: psycopg.Connection = wrapped.target_connection
    connection.autocommit = bool(parameters.get("autocommit", False))
    return connection


def _wrapper_settings(settings: Settings) -> dict[str, Any]:
    host, port = settings.address.host, settings.address.port or 5432
    pattern = (
        {}
        if settings.failover_hosts is None
        else {"cluster_instance_host_pattern": f"{settings.failover_hosts}:{port}"}
    )
    return {
        "plugins": "failover_v2",
        "wrapper_dialect": "aurora-pg",
        "wrapper_driver_dialect": "psycopg",
        "failover_mode": "strict_writer",
        "enable_connect_failover": True,
        "failover_timeout_sec": max(1, round(settings.failover_seconds)),
        # What is known of one cluster must not be taken for another's in the same process.
        "cluster_id": f"{host}:{port}",
        **pattern,
    }


def _is_standby(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    return row is not None and bool(row[0])
