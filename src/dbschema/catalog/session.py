"""Questions to the server, one by one or many at once, and what it says when it refuses.

A stretch of a transaction that is always rolled back, in whatever state the connection comes.

It speaks to the driver itself: thousands of statements go in one batch, which SQLAlchemy's errors would quote whole,
and its own state (begun or not, autocommit or not) has to be left as it was.

Where a connection stands, and the settings under which both sides print the same.
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
    """The rows that `query` gives; it has no parameters, so a percent sign is only that."""
    cursor.execute(query)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def ask_all(
    cursor: Any, queries: Sequence[str], meanwhile: Callable[[], None] | None = None
) -> Iterator[tuple[Sequence[Any], list[tuple[Any, ...]]]]:
    """Description and rows of each query, in order; the server answers one while the one before is being put together."""
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
    """What the server says, on one line."""
    return " ".join((error.diag.message_primary or str(error)).split())


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


VERSION_TABLE = "alembic_version"
"""The table that Alembic keeps its revision in, unless it was told otherwise."""

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
    # Compiling, and weighing ways to join, takes longer than these queries run.
    "jit": "off",
    "enable_memoize": "off",
    "enable_material": "off",
    "enable_mergejoin": "off",
}
"""Settings while a catalog is read, beside search_path."""


@dataclass(frozen=True)
class Place:
    """Where a connection stands.

    Args:
        default_schema: the first schema of its search_path.
        database, user: names, for messages.
        extension_schemas: the schemas that installed extensions are in; their types have to be found.
        owners: oids of the roles whose ownership goes without saying: who is connected, who owns the database, and
            who owns the version table.
        keywords: the words that the server quotes when it prints them as names.
        version_table: the table that Alembic keeps its revision in.
    """

    default_schema: str
    database: str
    user: str
    extension_schemas: tuple[str, ...]
    owners: tuple[int, ...]
    keywords: frozenset[str]
    version_table: str


def locate(cursor: Any, version_table: str = VERSION_TABLE) -> Place:
    """Where the connection of `cursor` stands, by its own search_path."""
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
    """Fix what the printed definitions depend on, until the scratch transaction ends."""
    ask(cursor, settings({"search_path": search_path(path)} | PRINTING))


def settings(values: Mapping[str, str]) -> str:
    """A statement that makes settings which last until the transaction is rolled back."""
    calls = (f"set_config('{name}', {sql_string(value)}, true)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"


def search_path(names: Iterable[str]) -> str:
    """The value of search_path. Temporary tables, which would hide others, come last unless `names` has them."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in dict.fromkeys([*names, "pg_temp"]))


def oids(cursor: Any, names: Mapping[str, str | None]) -> dict[int, str | None]:
    """The logical name of each schema in `names` that is there, by its oid."""
    rows = ask(cursor, "SELECT oid, nspname::text FROM pg_namespace")
    return {oid: names[name] for oid, name in rows if name in names}
