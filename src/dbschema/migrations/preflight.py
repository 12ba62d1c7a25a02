"""A question to a database that has one value for its answer.

What stands in the default schema of a database, without what belongs to extensions and without the version table.

What is looked at before anything is changed: whether this database may be changed, by us, and by these revisions.
"""

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
    """The one value that `query` gives."""
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
"""The names of all tables and views, for whoever cannot pass a parameter."""


def relations(connection: psycopg.Connection) -> tuple[str, ...]:
    """The names of all tables and views, of every kind."""
    return tuple(name for name, *_ in connection.execute(_RELATIONS, (VERSION_TABLE,)))


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    """How many rows each table has, as far as this role sees them."""
    counts = " UNION ALL ".join(
        f"SELECT {literal} AS name, count(*) AS rows FROM {quoted}"  # noqa: S608  quoted by the server
        for _, quoted, literal, is_table in connection.execute(_RELATIONS, (VERSION_TABLE,))
        if is_table
    )
    return dict(connection.execute(counts.encode()).fetchall()) if counts else {}


DEFAULT_SCHEMA: Final = "public"
"""Where the revisions expect the tables: it is named in the grants on the schema itself."""

FACTS: Final = """
    SELECT pg_is_in_recovery() AS recovery,
           current_setting('transaction_read_only')::boolean AS read_only,
           current_user::text AS role,
           current_database()::text AS database,
           current_schema()::text AS schema,
           current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE') AS may_create
    """

# A partitioned index is invalid until all its parts are attached, which may take several revisions on purpose; one that
# another session builds at this moment is no leftover.
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
class InvalidOne:
    """An index that was not built to its end: its name, and that with its schema, as SQL."""

    name: str
    quoted: str


def invalid_indexes(connection: psycopg.Connection) -> tuple[InvalidOne, ...]:
    """The indexes of the schemas on the search path that nothing uses, because their building was cut off."""
    return tuple(InvalidOne(*row) for row in connection.execute(INVALID_INDEXES))


def check_valid(connection: psycopg.Connection, place: str) -> None:
    """Raise where an index was left behind that was not built to its end.

    Raises:
        InvalidIndex: names them.
    """
    found = invalid_indexes(connection)
    connection.rollback()
    if found:
        raise InvalidIndex(place, [one.quoted for one in found])


def read_current(connection: psycopg.Connection) -> tuple[str, ...]:
    """The revisions at which the database stands: none before the first run, one of each line after."""
    found = scalar(connection, "SELECT to_regclass(%s) IS NOT NULL", (VERSION_TABLE,))
    rows = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}".encode()).fetchall() if found else ()  # noqa: S608  a constant
    connection.rollback()
    return tuple(row[0] for row in rows)


def checked_current(connection: psycopg.Connection, history: History, place: str) -> tuple[str, ...]:
    """The revisions at which the database stands, one of each line; none: base.

    Raises:
        UnexpectedState: it stands at more than one of a line.
        DatabaseNewer: `history` does not hold one.
    """
    return check_current(read_current(connection), history, place)


def check_current(current: Sequence[str], history: History, place: str) -> tuple[str, ...]:
    """`known_current` by what the version table holds, however it was read."""
    if len(current) > 1 and history.is_one_line:
        # One line of history has one revision, also where newer code has made it longer.
        raise several_revisions(place, current)
    if unknown := history.unknown(current):
        raise DatabaseNewer(place, unknown)
    if history.graph.share_a_line(current):
        raise several_revisions(place, current)
    return history.standing(history.applied(current))


def check_direct(settings: Settings) -> None:
    """Raise where RDS Proxy stands between: a pooler that cannot be told by its sessions, because it keeps one when it must.

    Raises:
        PooledConnection: names the place.
    """
    if settings.proxy:
        raise behind_proxy(settings.place)


def check_rights(connection: psycopg.Connection, place: str) -> None:
    """Raise where nothing can be changed here, or not by this role.

    Raises:
        NotWritable: a standby, or a database that is set to read-only.
        MissingPrivilege: the role has no CREATE on the default schema, there is no such schema, or it is not the one that the
            revisions grant access to.
    """
    found = connection.execute(FACTS).fetchone()
    connection.rollback()
    if found is None:
        raise TypeError("a SELECT without FROM gives one row")
    check_facts(place, found)


def check_facts(place: str, facts: Sequence[Any]) -> None:
    """`check_rights` by the answer to `FACTS`, however it was asked for."""
    recovery, read_only, role, database, schema, may_create = facts
    if recovery or read_only:
        raise not_writable(place, recovery=recovery)
    if schema == DEFAULT_SCHEMA and may_create:
        return
    from dbschema.ddl.base import quote  # noqa: PLC0415  imports SQLAlchemy, for an error only

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
    """Raise where a database without a revision holds tables or views already, other than those of extensions.

    Raises:
        UnexpectedState: names some of them.
    """
    tables = relations(connection)
    schema = scalar(connection, "SELECT current_schema()")
    connection.rollback()
    if tables:
        raise foreign_tables(place, schema, tables)


def remove_empty_version_table(connection: psycopg.Connection) -> None:
    """Drop the version table where it holds nothing: the first run failed, or the last revision was taken back.

    Alembic makes it before the first revision, in a transaction of its own, and leaves it after the last one; either
    way it would be the one thing that stays in a database that should be as it was.
    """
    if not read_current(connection):
        connection.execute(f"DROP TABLE IF EXISTS {VERSION_TABLE}".encode())
        connection.commit()
