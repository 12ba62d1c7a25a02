"""What stands in the default schema of a database, without what belongs to extensions and without the version table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

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


STRANGERS: Final = f"SELECT name::text FROM ({_RELATIONS.replace('%s', repr(VERSION_TABLE))}) AS found"  # noqa: S608  constants
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
