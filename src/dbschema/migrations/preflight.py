"""What is looked at before anything is changed: whether this database may be changed, by us, and by these revisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from dbschema.ddl.objects import quote
from dbschema.migrations.contents import VERSION_TABLE, relations
from dbschema.migrations.errors import (
    DatabaseNewer,
    ForeignTables,
    InvalidIndex,
    MayNotCreate,
    NotWritable,
    WrongSchema,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dbschema.migrations.history import History

DEFAULT_SCHEMA: Final = "public"
"""Where the revisions expect the tables: it is named in the grants on the schema itself."""

_FACTS: Final = text(
    """
    SELECT pg_is_in_recovery() AS recovery,
           current_setting('transaction_read_only')::boolean AS read_only,
           current_user AS role,
           current_database() AS database,
           current_schema() AS schema,
           current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE') AS may_create
    """
)

# A partitioned index is invalid until all its parts are attached, which may take several revisions on purpose; one that
# another session builds at this moment is no leftover.
_INVALID: Final = text(
    """
    SELECT c.relname AS name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = ANY (current_schemas(false))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
                      WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid())
    ORDER BY 2
    """
)


@dataclass(frozen=True)
class InvalidOne:
    """An index that was not built to its end: its name, and that with its schema, as SQL."""

    name: str
    quoted: str


def invalid_indexes(connection: Connection) -> tuple[InvalidOne, ...]:
    """The indexes of the schemas on the search path that nothing uses, because their building was cut off."""
    return tuple(InvalidOne(row.name, row.quoted) for row in connection.execute(_INVALID))


def check_valid(connection: Connection, place: str) -> None:
    """Raise where an index was left behind that was not built to its end.

    Raises:
        InvalidIndex: names them.
    """
    found = invalid_indexes(connection)
    connection.rollback()
    if found:
        raise InvalidIndex(place, [one.quoted for one in found])


def read_current(connection: Connection) -> tuple[str, ...]:
    """The revisions at which the database stands: none before the first run, one after."""
    current = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    return tuple(current)


def known_current(connection: Connection, history: History, place: str) -> str | None:
    """The one revision at which the database stands; None: base.

    Raises:
        DatabaseNewer: `history` does not hold it.
    """
    current = read_current(connection)
    if unknown := history.unknown(current):
        raise DatabaseNewer(place, unknown)
    return max(current, key=history.position, default=None)


def check_rights(connection: Connection, place: str) -> None:
    """Raise where nothing can be changed here, or not by this role.

    Raises:
        NotWritable: a standby, or a database that is set to read-only.
        WrongSchema: the default schema is another than the one that the revisions grant access to.
        MayNotCreate: the role has no CREATE on the default schema, or there is no such schema.
    """
    facts = connection.execute(_FACTS).one()
    connection.rollback()
    if facts.recovery or facts.read_only:
        raise NotWritable(place, recovery=facts.recovery)
    if facts.schema is None:
        statement = f"ALTER ROLE {quote(facts.role)} SET search_path = public"
        raise MayNotCreate(place, facts.role, None, statement)
    if facts.schema != DEFAULT_SCHEMA:
        statement = f"ALTER ROLE {quote(facts.role)} IN DATABASE {quote(facts.database)} SET search_path = {DEFAULT_SCHEMA}"
        raise WrongSchema(place, facts.role, facts.schema, statement)
    if not facts.may_create:
        statement = f"GRANT CREATE ON SCHEMA {quote(facts.schema)} TO {quote(facts.role)}"
        raise MayNotCreate(place, facts.role, facts.schema, statement)


def check_empty(connection: Connection, place: str) -> None:
    """Raise where a database without a revision holds tables or views already, other than those of extensions.

    Raises:
        ForeignTables: names some of them.
    """
    tables = relations(connection)
    schema = connection.scalar(text("SELECT current_schema()"))
    connection.rollback()
    if tables:
        raise ForeignTables(place, schema, tables)


def remove_empty_version_table(connection: Connection) -> None:
    """Drop the version table where it holds nothing: the first run failed, or the last revision was taken back.

    Alembic makes it before the first revision, in a transaction of its own, and leaves it after the last one; either
    way it would be the one thing that stays in a database that should be as it was.
    """
    if MigrationContext.configure(connection).get_current_heads():
        connection.rollback()
        return
    connection.rollback()
    with connection.begin():
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
