"""What stands in the default schema of a database, without what belongs to extensions and without the version table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

VERSION_TABLE: Final = "alembic_version"

_RELATIONS: Final = text(
    """
    SELECT c.relname AS name, quote_ident(c.relname) AS quoted, quote_literal(c.relname) AS literal, c.relkind IN ('r', 'p') AS is_table
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> :version_table
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname
    """
).bindparams(version_table=VERSION_TABLE)


def relations(connection: Connection) -> tuple[str, ...]:
    """The names of all tables and views, of every kind."""
    return tuple(row.name for row in connection.execute(_RELATIONS))


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has, as far as this role sees them."""
    counts = " UNION ALL ".join(
        f"SELECT {row.literal} AS name, count(*) AS rows FROM {row.quoted}"  # noqa: S608  quoted by the server
        for row in connection.execute(_RELATIONS)
        if row.is_table
    )
    found = connection.execute(text(counts.replace(":", r"\:"))).all() if counts else ()
    return {row.name: row.rows for row in found}
