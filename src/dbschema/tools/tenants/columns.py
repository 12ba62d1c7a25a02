"""Read from the catalog of a database: the columns of tables, the revision, and undeclared tables with tenants' rows."""

# ruff: noqa: S608  the SQL contains only quoted names of the metadata

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from dbschema.ddl.tenancy import POLICY_NAME
from dbschema.tools.tenants.errors import missing_table, translating, undeclared_tables
from dbschema.tools.tenants.session import run, same_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dbschema.tools.tenants.scope import Scope, TenantTable

VERSION_TABLE = "alembic_version"

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation <> 0
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attname COLLATE "C"
"""
# A partition is read with its parent table.
_UNDECLARED = """
SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
WHERE c.oid <> ALL (:known) AND NOT c.relispartition AND (
    EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = :policy AND c.relnamespace IN (
        SELECT k.relnamespace FROM pg_catalog.pg_class k WHERE k.oid = ANY (:known)))
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid = ANY (:known)))
ORDER BY 1
"""


@dataclass(frozen=True)
class Column:
    """An exported column: its name, its type as PostgreSQL prints it, and whether it has a collation."""

    name: str
    type: str
    collated: bool = False


def columns_of(connection: Connection, table: TenantTable) -> tuple[Column, ...]:
    """Return the columns of a table, sorted by name, without generated columns.

    Raises:
        NotMigrated: the table is missing.
    """
    rows = connection.execute(text(_COLUMNS), {"table": table.sql}).all()
    if not rows:
        raise missing_table(table.name)
    return tuple(Column(*row) for row in rows)


def revisions(connection: Connection) -> tuple[str, ...]:
    """Return the revisions of the database; empty if it has no table of revisions.

    Raises:
        MissingPrivilege: the role may not read the table of revisions.
    """
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": VERSION_TABLE}) is None:
        return ()
    with translating(VERSION_TABLE), same_role(connection):
        if not connection.scalar(
            text("SELECT has_table_privilege(:name, 'SELECT')"), {"name": VERSION_TABLE}
        ):
            run(connection, "SET LOCAL ROLE NONE")  # the login role may have the privilege
        versions = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all()
    return tuple(sorted(map(str, versions)))


def reject_undeclared(connection: Connection, scope: Scope) -> None:
    """Reject a database with rows of tenants in tables that the metadata does not declare.

    Raises:
        UndeclaredTables: an undeclared table has the tenant policy, or a foreign key to a declared table.
        NotMigrated: a declared table is missing.
    """
    names = [table.sql for table in scope.tables]
    known = list(
        connection.scalars(
            text("SELECT to_regclass(name)::oid::bigint FROM unnest(CAST(:names AS text[])) name"),
            {"names": names},
        )
    )
    for table, oid in zip(scope.tables, known, strict=True):
        if oid is None:
            raise missing_table(table.name)
    query = text(
        _UNDECLARED.replace(":known", "CAST(:known AS bigint[])").replace("c.oid <>", "c.oid::bigint <>")
    )
    undeclared = list(connection.scalars(query, {"known": known, "policy": POLICY_NAME}))
    if undeclared:
        raise undeclared_tables(undeclared)
