"""Query the server in a scratch transaction that is always rolled back, in any transaction state of the connection.

It uses the driver directly: thousands of statements go in one batch, which SQLAlchemy's errors would quote whole, and
SQLAlchemy's transaction state must not change.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from dbschema.catalog.errors import failed_transaction, no_default_schema, unreadable
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection


def ask(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    """Execute `query` and return its rows. It has no parameters, so a percent sign needs no escape."""
    cursor.execute(query)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def ask_all(
    cursor: Any, queries: Sequence[str], meanwhile: Callable[[], None] | None = None
) -> Iterator[tuple[Sequence[Any], list[tuple[Any, ...]]]]:
    """Execute the queries in a pipeline, call `meanwhile`, and yield description and rows of each query, in order."""
    connection = getattr(cursor, "connection", None)
    if not isinstance(connection, psycopg.Connection) or not psycopg.Pipeline.is_supported():
        if meanwhile is not None:
            meanwhile()
        for query in queries:
            rows = ask(cursor, query)
            yield cursor.description, rows
        return
    with connection.pipeline():
        cursors = [
            connection.cursor(row_factory=tuple_row).execute(query, prepare=False) for query in queries
        ]
        if meanwhile is not None:
            meanwhile()
        for answering in cursors:
            rows = answering.fetchall()
            yield answering.description or (), rows


def reason(error: psycopg.Error) -> str:
    """Return the message of the server on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())


SAVEPOINT = "dbschema_scratch"


@contextmanager
def entered(connection: Connection | psycopg.Connection) -> Iterator[Any]:
    """Open a `scratch` transaction, and raise an error of the server as a `CatalogError`.

    Raises:
        CatalogError: the connection is in a failed transaction, or the server does not answer.
    """
    database = _driver(connection).info.dbname
    try:
        with scratch(connection) as cursor:
            yield cursor
    except psycopg.Error as error:
        raise unreadable(database, reason(error)) from error


@contextmanager
def scratch(connection: Connection | psycopg.Connection) -> Iterator[Any]:
    """Yield a cursor of the driver, and roll back its work, including settings (`SET LOCAL`) and locks.

    (The server keeps the lock on a sequence until the whole transaction ends, even if the sequence no longer exists.)

    Can be nested. Uses a savepoint in an open transaction, otherwise a transaction of its own.

    Raises:
        CatalogError: the connection is in a failed transaction.
    """
    # Ask the driver, not SQLAlchemy: under autocommit the caller may have executed BEGIN.
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
            # A lost connection needs no rollback, and the error that lost it must propagate.
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


VERSION_TABLE = "alembic_version"
"""Alembic's version table, unless configured otherwise."""

PLACE = """
SELECT current_schema()::text, current_database()::text, current_user::text,
       ARRAY(SELECT DISTINCT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
             WHERE n.nspname <> 'pg_catalog' ORDER BY 1),
       ARRAY(SELECT r.oid::bigint FROM pg_roles r WHERE r.rolname = current_user
             UNION SELECT d.datdba::bigint FROM pg_database d WHERE d.datname = current_database()
             UNION SELECT c.relowner::bigint FROM pg_class c WHERE c.oid = to_regclass(quote_ident({version_table}))),
       ARRAY(SELECT k.word FROM pg_get_keywords() k WHERE k.catcode <> 'U')
"""


PRINTING = {
    "quote_all_identifiers": "off",
    # JIT compilation, and planning these kinds of joins, take longer than the queries.
    "jit": "off",
    "enable_memoize": "off",
    "enable_material": "off",
    "enable_mergejoin": "off",
}
"""Settings for reading a catalog, in addition to search_path."""


@dataclass(frozen=True)
class Place:
    """The schema, database and user of a connection.

    Args:
        default_schema: the first schema of its search_path.
        database, user: names, for messages.
        extension_schemas: the schemas of the installed extensions; their types must be visible.
        owners: oids of the roles whose ownership is not reported: the connected role, the owner of the database, and
            the owner of the version table.
        keywords: the words that the server quotes when it prints them as names.
        version_table: Alembic's version table.
    """

    default_schema: str
    database: str
    user: str
    extension_schemas: tuple[str, ...]
    owners: tuple[int, ...]
    keywords: frozenset[str]
    version_table: str


def locate(cursor: Any, version_table: str = VERSION_TABLE) -> Place:
    """Return the place of the connection of `cursor`, by its own search_path."""
    (row,) = ask(cursor, PLACE.format(version_table=sql_string(version_table)))
    default_schema, database, user, extension_schemas, owners, keywords = row
    if default_schema is None:
        raise no_default_schema(database)
    return Place(
        default_schema,
        database,
        user,
        tuple(extension_schemas),
        tuple(owners),
        frozenset(keywords),
        version_table,
    )


def settle(cursor: Any, path: Iterable[str]) -> None:
    """Set search_path and the settings that affect printed definitions, until the scratch transaction ends."""
    ask(cursor, settings({"search_path": search_path(path)} | PRINTING))


def settings(values: Mapping[str, str]) -> str:
    """Return a statement that changes settings until the transaction ends."""
    calls = (f"set_config('{name}', {sql_string(value)}, true)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"


def search_path(names: Iterable[str]) -> str:
    """Return the value of search_path. pg_temp, whose tables would hide others, comes last unless it is in `names`."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in dict.fromkeys([*names, "pg_temp"]))


def oids(cursor: Any, names: Mapping[str, str | None]) -> dict[int, str | None]:
    """Return the logical name by oid of each schema in `names` that exists."""
    rows = ask(cursor, "SELECT oid, nspname::text FROM pg_namespace")
    return {oid: names[name] for oid, name in rows if name in names}
