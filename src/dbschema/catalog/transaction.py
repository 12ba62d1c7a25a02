"""A stretch of a transaction that is always rolled back, in whatever state the connection comes.

It speaks to the driver itself: thousands of statements go in one batch, which SQLAlchemy's errors would quote whole,
and its own state (begun or not, autocommit or not) has to be left as it was.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from dbschema.catalog.asking import reason
from dbschema.catalog.errors import failed_transaction, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

SAVEPOINT = "dbschema_scratch"


@contextmanager
def entered(connection: Connection | psycopg.Connection) -> Iterator[Any]:
    """As `scratch`, where a caller of this package enters it: what the server says becomes an error of ours.

    Raises:
        CatalogError: the transaction that the connection is in has failed, or the server does not answer.
    """
    database = _driver(connection).info.dbname
    try:
        with scratch(connection) as cursor:
            yield cursor
    except psycopg.Error as error:
        raise unreadable(database, reason(error)) from error


@contextmanager
def scratch(connection: Connection | psycopg.Connection) -> Iterator[Any]:
    """A cursor of the driver; what it does is rolled back, settings (`SET LOCAL`) and locks included.

    (The server keeps the lock on a sequence until the whole transaction ends, even of a sequence that is gone by then.)

    Nesting works. Under autocommit, and where no transaction has begun, it has one of its own.

    Raises:
        CatalogError: the transaction that the connection is in has failed.
    """
    # What the driver knows, not SQLAlchemy: under autocommit a transaction may have been begun by hand.
    driver = _driver(connection)
    status = driver.info.transaction_status
    if status == TransactionStatus.INERROR:
        raise failed_transaction()
    idle = status == TransactionStatus.IDLE
    cursor = driver.cursor()
    try:
        if not idle:
            cursor.execute(f"SAVEPOINT {SAVEPOINT}")
        elif driver.autocommit:
            cursor.execute("BEGIN")
        try:
            yield cursor
        finally:
            # A connection that is lost needs no rolling back, and the error that lost it is the one to be told.
            with suppress(psycopg.OperationalError):
                if idle:
                    cursor.execute("ROLLBACK")
                else:
                    cursor.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}")
    finally:
        cursor.close()


def _driver(connection: Connection | psycopg.Connection) -> Any:
    if isinstance(connection, psycopg.Connection):
        return connection
    return connection.connection.driver_connection
