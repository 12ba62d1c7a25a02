"""Export all rows of a tenant, from one snapshot, into a folder of files."""

# ruff: noqa: S608  the SQL contains only quoted names of the metadata and a UUID

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dbschema._progress import Progress
from dbschema.ddl.base import quote
from dbschema.sessions.literals import exact
from dbschema.tools.tenants.columns import columns_of, reject_undeclared, revisions
from dbschema.tools.tenants.errors import translating
from dbschema.tools.tenants.folder import MANIFEST, Manifest, Sink, TableEntry, file_name, new_folder
from dbschema.tools.tenants.session import become, fix_formats, scope_for, slug_and_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from uuid import UUID

    from sqlalchemy import Connection, Engine, MetaData

    from dbschema._progress import Listener
    from dbschema.tools.tenants.columns import Column
    from dbschema.tools.tenants.scope import TenantTable

PROGRESS_ROWS = 10_000
"""Rows between two progress reports."""


def export_tenant(
    engine: Engine,
    tenant_id: UUID | str,
    folder: str | PathLike[str],
    *,
    metadata: MetaData | None = None,
    on_progress: Listener | None = None,
) -> Manifest:
    """Write all rows of a tenant into a new folder, from one snapshot of the database.

    The folder contains `manifest.json` and one file for each table: text of PostgreSQL's COPY, in UTF-8, sorted by the
    primary key, without generated columns. The same rows give the same files, byte for byte. Rows are streamed, so the use
    of memory does not depend on their number. The export neither waits for other sessions nor blocks them.

    Args:
        engine: an engine of psycopg, as a superuser, the tables' owner, or a member of the application's role that may
            also read the table `alembic_version`.
        tenant_id: the tenant to export.
        folder: the target; it must not exist. The files are written to a temporary folder beside it, which is then renamed.
        metadata: the models; None: the models of this package, and all models derived from its Base.
        on_progress: called after each table, and every 10,000 rows.

    Raises:
        BadIdentity: `tenant_id` is not a UUID.
        NoSuchTenant: the tenant does not exist, or is hidden from the role.
        TenantsError: the folder exists already.
        UndeclaredTables: tenants have rows in tables that the metadata does not declare.
        NotMigrated, MissingPrivilege: a table is missing, or the role may not read it.
    """
    scope = scope_for(metadata)
    target, tenant = Path(folder), exact(tenant_id)
    snapshot = engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with snapshot as connection, connection.begin():
        become(connection, scope.root.sql, tenant)
        fix_formats(connection)
        slug, name = slug_and_name(connection, scope.root, tenant)
        reject_undeclared(connection, scope)
        with new_folder(target) as partial:
            entries = []
            for number, table in enumerate(scope.tables, start=1):
                path = partial / file_name(number, table.name)
                entries.append(_export(connection, table, tenant, path, on_progress))
            manifest = Manifest(tenant, slug, name, revisions(connection), tuple(entries))
            sink = Sink(partial / MANIFEST)
            sink.write(manifest.dump().encode())
            sink.close()
    return manifest


def _export(
    connection: Connection, table: TenantTable, tenant: UUID, path: Path, on_progress: Listener | None
) -> TableEntry:
    columns = columns_of(connection, table)
    sink = Sink(path)
    reported = 0
    try:
        with translating(table.name):
            for data in _rows(connection, _query(table, tenant, columns)):
                sink.write(data)
                if on_progress is not None and sink.rows - reported >= PROGRESS_ROWS:
                    reported = sink.rows
                    on_progress(Progress(table.name, reported))
        digest = sink.close()
    except BaseException:
        sink.abandon()
        raise
    if on_progress is not None:
        on_progress(Progress(table.name, sink.rows, sink.rows))
    written = tuple((column.name, column.type) for column in columns)
    return TableEntry(table.name, path.name, written, sink.rows, sink.bytes, digest)


def _query(table: TenantTable, tenant: UUID, columns: Sequence[Column]) -> str:
    names = ", ".join(quote(column.name) for column in columns)
    return f"SELECT {names} FROM {table.sql} WHERE {table.of(tenant)} ORDER BY {_order(table, columns)}"


def _order(table: TenantTable, columns: Sequence[Column]) -> str:
    """Return the ORDER BY of a table: its primary key, text by bytes, so the order does not depend on a locale."""
    by_name = {column.name: column for column in columns}
    key = [by_name[column.name] for column in table.table.primary_key if column.name in by_name]
    if not key:
        return ", ".join(f'{quote(column.name)}::text COLLATE "C"' for column in columns)
    return ", ".join(quote(column.name) + (' COLLATE "C"' if column.collated else "") for column in key)


def _rows(connection: Connection, query: str) -> Iterator[bytes]:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  an open connection has it
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT WITH (FORMAT text, ENCODING 'UTF8')") as copy,
    ):
        for data in copy:
            yield bytes(data)
