"""Check the rights, the contents and the revision of a database before a run changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from dbschema.migrations.errors import (
    DatabaseNewer,
    InvalidIndex,
    behind_proxy,
    foreign_tables,
    may_not_create,
    not_writable,
    several_revisions,
    wrong_schema,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from dbschema.connect import Settings
    from dbschema.migrations.history import History


def scalar(connection: psycopg.Connection, query: LiteralString, values: Sequence[object] = ()) -> Any:
    """Return the first value of the first row of `query`; None if there is no row."""
    row = connection.execute(query, values or None).fetchone()
    return None if row is None else row[0]


VERSION_TABLE: Final = "alembic_version"

_RELATIONS: Final = """
    SELECT c.relname AS name, quote_ident(c.relname) AS quoted, quote_literal(c.relname) AS literal, c.relkind IN ('r', 'p') AS is_table
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> %s
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
    """


UNMANAGED_RELATIONS: Final = (
    f"SELECT name::text FROM ({_RELATIONS.replace('%s', repr(VERSION_TABLE))}) AS found"  # noqa: S608  constants
)
"""The query of `relations`, without a parameter, for the RDS Data API."""


def relations(connection: psycopg.Connection) -> tuple[str, ...]:
    """Return the names of all tables and views in the default schema, except the version table and those of extensions."""
    return tuple(name for name, *_ in connection.execute(_RELATIONS, (VERSION_TABLE,)))


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    """Return the number of rows of each table. Counts only the rows that the role can see."""
    counts = " UNION ALL ".join(
        f"SELECT {literal} AS name, count(*) AS rows FROM {quoted}"  # noqa: S608  quoted by the server
        for _, quoted, literal, is_table in connection.execute(_RELATIONS, (VERSION_TABLE,))
        if is_table
    )
    return dict(connection.execute(counts.encode()).fetchall()) if counts else {}


DEFAULT_SCHEMA: Final = "public"
"""The schema that the revisions expect: they grant privileges on it by name."""

FACTS: Final = """
    SELECT pg_is_in_recovery() AS recovery,
           current_setting('transaction_read_only')::boolean AS read_only,
           current_user::text AS role,
           current_database()::text AS database,
           current_schema()::text AS schema,
           current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE') AS may_create
    """

# Ignore partitioned indexes, which are invalid until all partitions are attached, perhaps over several revisions. Ignore
# indexes that another session builds now.
INVALID_INDEXES: Final = """
    SELECT c.relname AS name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = ANY (current_schemas(false))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
                      WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid())
    ORDER BY 2
    """


@dataclass(frozen=True)
class InvalidIndexName:
    """The name of an invalid index; `quoted` contains its schema and is SQL."""

    name: str
    quoted: str


def invalid_indexes(connection: psycopg.Connection) -> tuple[InvalidIndexName, ...]:
    """Return the invalid indexes in the schemas of the search path: their build was interrupted, and no query uses them."""
    return tuple(InvalidIndexName(*row) for row in connection.execute(INVALID_INDEXES))


def check_valid(connection: psycopg.Connection, place: str) -> None:
    """Check that the database has no invalid index.

    Raises:
        InvalidIndex: an index is invalid; names all of them.
    """
    invalid = invalid_indexes(connection)
    connection.rollback()
    if invalid:
        raise InvalidIndex(place, [index.quoted for index in invalid])


def read_current(connection: psycopg.Connection) -> tuple[str, ...]:
    """Return the content of the version table: empty before the first run, then one revision of each branch."""
    exists = scalar(connection, "SELECT to_regclass(%s) IS NOT NULL", (VERSION_TABLE,))
    query = f"SELECT version_num FROM {VERSION_TABLE}".encode()  # noqa: S608  a constant
    rows = connection.execute(query).fetchall() if exists else ()
    connection.rollback()
    return tuple(row[0] for row in rows)


def checked_current(connection: psycopg.Connection, history: History, place: str) -> tuple[str, ...]:
    """Return the current revisions of the database, one of each branch; an empty tuple: base.

    Raises:
        UnexpectedState: the database has several revisions of one branch.
        DatabaseNewer: `history` does not contain a revision of the database.
    """
    return check_current(read_current(connection), history, place)


def check_current(current: Sequence[str], history: History, place: str) -> tuple[str, ...]:
    """Check `current`, the content of the version table. See `checked_current`."""
    if len(current) > 1 and history.has_one_branch:
        # A history of one branch has one current revision, also if newer code has extended the branch.
        raise several_revisions(place, current)
    if unknown := history.unknown(current):
        raise DatabaseNewer(place, unknown)
    if history.graph.share_a_branch(current):
        raise several_revisions(place, current)
    return history.current(history.applied(current))


def check_direct(settings: Settings) -> None:
    """Check that the settings use no RDS Proxy. `lock.check_session` cannot detect it, because it pins sessions on demand.

    Raises:
        PooledConnection: the connection goes through RDS Proxy.
    """
    if settings.proxy:
        raise behind_proxy(settings.place)


def check_rights(connection: psycopg.Connection, place: str) -> None:
    """Check that the server accepts changes, and that the role may create tables in the expected schema.

    Raises:
        NotWritable: the server is a standby, or the database is set to read-only.
        MissingPrivilege: the role has no CREATE privilege on its default schema, has no default schema, or has another one
            than the revisions grant access to.
    """
    facts = connection.execute(FACTS).fetchone()
    connection.rollback()
    if facts is None:
        raise TypeError("a SELECT without FROM returned no row")
    check_facts(place, facts)


def check_facts(place: str, facts: Sequence[Any]) -> None:
    """Check the row of the query `FACTS`. See `check_rights`."""
    recovery, read_only, role, database, schema, may_create = facts
    if recovery or read_only:
        raise not_writable(place, recovery=recovery)
    if schema == DEFAULT_SCHEMA and may_create:
        return
    from dbschema.ddl.base import quote  # noqa: PLC0415  imports SQLAlchemy; only for an error

    if schema is None:
        statement = f"ALTER ROLE {quote(role)} SET search_path = public"
        raise may_not_create(place, role, None, statement)
    if schema != DEFAULT_SCHEMA:
        statement = (
            f"ALTER ROLE {quote(role)} IN DATABASE {quote(database)} SET search_path = {DEFAULT_SCHEMA}"
        )
        raise wrong_schema(place, role, schema, statement)
    statement = f"GRANT CREATE ON SCHEMA {quote(schema)} TO {quote(role)}"
    raise may_not_create(place, role, schema, statement)


def check_empty(connection: psycopg.Connection, place: str) -> None:
    """Check that a database without a revision contains no tables or views, except those of extensions.

    Raises:
        UnexpectedState: the database contains some; names the first of them.
    """
    tables = relations(connection)
    schema = scalar(connection, "SELECT current_schema()")
    connection.rollback()
    if tables:
        raise foreign_tables(place, schema, tables)


def remove_empty_version_table(connection: psycopg.Connection) -> None:
    """Drop an empty version table: the first run failed, or a downgrade reverted all revisions.

    Alembic creates the table in its own transaction before the first revision, and keeps it after the last downgrade. It would
    be the only leftover in a database that should be unchanged.
    """
    if not read_current(connection):
        connection.execute(f"DROP TABLE IF EXISTS {VERSION_TABLE}".encode())
        connection.commit()
