"""What the tables of a database really have: columns, revision, and tables that nobody declared."""

# ruff: noqa: S608  what is put together here are names of the metadata, quoted

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
# Partitions are read with the table that they belong to.
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
    """A column that is written: its name, its type as PostgreSQL prints it, and whether its order is a matter of locale."""

    name: str
    type: str
    collated: bool = False


def columns_of(connection: Connection, table: TenantTable) -> tuple[Column, ...]:
    """The columns of a table by name, without those that the database computes.

    Raises:
        NotMigrated: it is not there.
    """
    found = connection.execute(text(_COLUMNS), {"table": table.sql}).all()
    if not found:
        raise missing_table(table.name)
    return tuple(Column(*row) for row in found)


def revisions(connection: Connection) -> tuple[str, ...]:
    """The revisions that the database is at; none where it was not made by revisions.

    Raises:
        MissingPrivilege: the role may not read them.
    """
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": VERSION_TABLE}) is None:
        return ()
    with translating(VERSION_TABLE), same_role(connection):
        if not connection.scalar(
            text("SELECT has_table_privilege(:name, 'SELECT')"), {"name": VERSION_TABLE}
        ):
            run(connection, "SET LOCAL ROLE NONE")  # the login may, perhaps, where its role may not
        found = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all()
    return tuple(sorted(str(one) for one in found))


def refuse_undeclared(connection: Connection, scope: Scope) -> None:
    """See that no rows of tenants lie where nobody would look.

    Raises:
        UndeclaredTables: there are tables with the policy, or with a key to one of the tables, that are not declared.
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
    found = list(connection.scalars(query, {"known": known, "policy": POLICY_NAME}))
    if found:
        raise undeclared_tables(found)
