"""Connect to the current writer of an Aurora cluster with the AWS Advanced Python Wrapper.

The wrapper monitors the instances of the cluster, and waits until one is the writer. It only opens connections;
statements run on psycopg's connection. The wrapper would replace their errors, and hide the SQLSTATE by which a run
decides to retry. After a lost connection, the caller opens a new one, which leads to the new writer.
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
# Only a writer executes this statement; it changes nothing.
_WRITERS_ONLY: Final = "DROP TABLE IF EXISTS pg_temp.dbschema_no_such_table"


def check(settings: Settings) -> None:
    """Check that the instances of the cluster can be found from the address.

    Raises:
        BadSetting: the address names several hosts, a numeric address or a proxy; or its host is not a name of RDS, and
            DB_FAILOVER_HOSTS is not set or not a valid pattern.
    """
    address = settings.address
    if settings.proxy:
        raise BadSetting(
            FAILOVER,
            "is set, and the address is that of an RDS Proxy, which follows a failover itself",
            "Unset it, or name the cluster",
        )
    if address.host is None or "hostaddr" in address.query:
        raise BadSetting(
            FAILOVER,
            f"is set, and the address from {settings.source} does not contain exactly one host name",
            "Name the writer endpoint",
        )
    pattern = settings.failover_hosts
    if pattern is None and not _RDS.search(address.host):
        raise BadSetting(
            FAILOVER,
            f"is set, and {address.host} is not a name of RDS, from which the names of the instances could be derived",
            f"Set {FAILOVER_HOSTS} to the host pattern of the instances, with a question mark for the instance, such as ?.db.example.com",
        )
    if pattern is not None and _PATTERN.fullmatch(pattern) is None:
        raise BadSetting(
            FAILOVER_HOSTS,
            f"is {pattern!r}",
            "Write the host pattern of the instances with one question mark for the instance, such as ?.db.example.com",
        )


def connect(
    settings: Settings, make: Callable[[dict[str, Any]], psycopg.Connection], parameters: Mapping[str, Any]
) -> psycopg.Connection:
    """Connect to the writer of the cluster.

    Args:
        settings: the database; `failover_seconds` limits the wait for a writer.
        make: opens a connection with parameters of libpq and psycopg. Threads of the wrapper call it too, to monitor all
            instances.
        parameters: for `make`, with the host of the cluster or of any instance.

    Raises:
        ExtraMissing: the wrapper is not installed.
        NoWriter: no writer was found in time.
        psycopg.Error: the server rejects the connection.
    """
    try:
        from aws_advanced_python_wrapper import AwsWrapperConnection  # type: ignore[import-untyped]  # noqa: PLC0415  it has no types, is an extra, and slow to import
        from aws_advanced_python_wrapper import errors as theirs  # noqa: PLC0415  as above
    except ImportError as error:
        what = "DB_FAILOVER_SECONDS needs the AWS Advanced Python Wrapper, which is not installed"
        raise ExtraMissing(what, "failover") from error
    # Its log is shown only if the application configures it; without a handler, Python prints warnings and errors.
    logging.getLogger("aws_advanced_python_wrapper").addHandler(_SILENT)

    def open_one(**arguments: Any) -> psycopg.Connection:
        # In autocommit mode, so that monitoring connections hold no transaction.
        arguments = Parameters({**arguments, "autocommit": True})
        try:
            return make(arguments)
        except psycopg.OperationalError as error:
            # The wrapper reads each OperationalError as a lost writer; a wrong password would start a search for another.
            rejection = translate(error, settings)
            if isinstance(rejection, _GONE):
                raise
            raise rejection from error

    arguments = Parameters({key: value for key, value in parameters.items() if key != "autocommit"})
    try:
        wrapped = AwsWrapperConnection.connect(
            open_one,
            **arguments,
            **_wrapper_settings(settings),
        )
        if _is_standby(wrapped.target_connection):
            # The host name still resolves to the former writer. A failed write makes the wrapper find the new one.
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
        # Keep the state of several clusters in a process apart.
        "cluster_id": f"{host}:{port}",
        **pattern,
    }


def _is_standby(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    return row is not None and bool(row[0])
