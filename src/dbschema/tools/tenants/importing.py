"""Import a tenant from the folder of an export, in one transaction."""

# ruff: noqa: S608  the SQL contains only quoted names of the metadata and UUIDs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dbschema._progress import Progress
from dbschema.ddl.base import quote
from dbschema.tools.tenants.columns import columns_of, reject_undeclared, revisions
from dbschema.tools.tenants.errors import (
    UNIQUE_VIOLATION,
    OtherSchema,
    bad_export,
    bad_rows,
    must_own_tables,
    state_of,
    tenant_exists,
    translating,
)
from dbschema.tools.tenants.folder import blocks, read_manifest, verify
from dbschema.tools.tenants.session import become, fix_formats, run, scope_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from sqlalchemy import Connection, Engine, MetaData

    from dbschema._progress import Listener
    from dbschema.tools.tenants.folder import Manifest, TableEntry
    from dbschema.tools.tenants.scope import Scope, TenantTable

_OWNS = """
SELECT pg_has_role(session_user, c.relowner, 'MEMBER') AND pg_has_role(current_user, c.relowner, 'MEMBER')
FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(:table)
"""


def import_tenant(
    engine: Engine,
    folder: str | PathLike[str],
    *,
    metadata: MetaData | None = None,
    on_progress: Listener | None = None,
) -> Manifest:
    """Insert an exported tenant into this database, in one transaction.

    Ids, times, versions and audit rows keep their values; generated columns are computed again. All hashes are checked
    before the first write, and each row must belong to the tenant of the manifest.

    Args:
        engine: an engine of psycopg, as a superuser, the tables' owner, or (if no table is `Audited`) a member of the
            application's role that may also read the table `alembic_version`. The role creates temporary tables.
        folder: the folder that `export_tenant` has written.
        metadata: see `export_tenant`.
        on_progress: called after each table.

    Raises:
        BadExport: the files are not an export or were changed; rows are malformed, belong to another tenant, or violate a
            constraint.
        OtherSchema: the database has another revision, other tables or other columns.
        TenantExists: the database has a tenant with this id or slug.
        UndeclaredTables: tenants have rows in tables that the metadata does not declare.
        MissingPrivilege: the role may not write a table, or a table is `Audited` and the role does not own it.
        NotMigrated: a table is missing.
    """
    scope = scope_for(metadata)
    source = Path(folder)
    manifest = read_manifest(source)
    verify(source, manifest.tables)
    with engine.connect() as connection, connection.begin():
        become(connection, scope.root.sql, manifest.tenant_id)
        fix_formats(connection)
        reject_undeclared(connection, scope)
        _reject_other_schema(connection, scope, manifest)
        _reject_audited(connection, scope)
        _reject_existing(connection, scope.root, manifest)
        entries = {entry.table: entry for entry in manifest.tables}
        if entries[scope.root.name].rows != 1:
            raise bad_export(str(source / entries[scope.root.name].file), "it does not hold one tenant")
        for group in scope.groups:
            for table in group:
                _stage(connection, table, entries[table.name], source, manifest)
            _insert(connection, group, entries, slug=manifest.slug if scope.root in group else None)
            for table in group:
                run(connection, f"DROP TABLE {_temporary(entries[table.name])}")
                if on_progress is not None:
                    rows = entries[table.name].rows
                    on_progress(Progress(table.name, rows, rows))
    return manifest


def _reject_other_schema(connection: Connection, scope: Scope, manifest: Manifest) -> None:
    current = revisions(connection)
    if current != manifest.revisions:
        raise OtherSchema(
            f"The tenant was exported at revision {', '.join(manifest.revisions) or 'none'},"
            f" and the database is at {', '.join(current) or 'none'}"
        )
    exported = {entry.table for entry in manifest.tables}
    declared = {table.name for table in scope.tables}
    if exported != declared:
        raise OtherSchema(
            f"The export and the database do not have the same tables: {', '.join(sorted(exported ^ declared))}"
        )
    for table in scope.tables:
        (entry,) = (entry for entry in manifest.tables if entry.table == table.name)
        actual = [(column.name, column.type) for column in columns_of(connection, table)]
        if actual != list(entry.columns):
            differing = sorted({name for name, _ in set(actual) ^ set(entry.columns)})
            raise OtherSchema(
                f"Table {table.name} has other columns than the exported one: {', '.join(differing) or 'their order'}"
            )


def _reject_audited(connection: Connection, scope: Scope) -> None:
    audited = [
        table.name
        for table in scope.tables
        if table.audited and not connection.scalar(text(_OWNS), {"table": table.sql})
    ]
    if audited:
        raise must_own_tables(str(connection.scalar(text("SELECT current_user"))), audited)


def _reject_existing(connection: Connection, root: TenantTable, manifest: Manifest) -> None:
    for key, condition, value in (
        ("id", root.of(manifest.tenant_id), manifest.tenant_id),
        ("slug", "slug = :slug", manifest.slug),
    ):
        with translating(root.name):
            query = text(f"SELECT EXISTS (SELECT FROM {root.sql} WHERE {condition})")
            if connection.scalar(query, {"slug": manifest.slug} if key == "slug" else {}):
                raise tenant_exists(key, value)


def _temporary(entry: TableEntry) -> str:
    return f"pg_temp.{quote('import_' + entry.file.partition('_')[0])}"


def _names(entry: TableEntry) -> str:
    return ", ".join(quote(name) for name, _ in entry.columns)


def _stage(
    connection: Connection, table: TenantTable, entry: TableEntry, folder: Path, manifest: Manifest
) -> None:
    """Read a file into a temporary table, and check the tenant of its rows.

    COPY into the table itself fails under row-level security (RLS), and without it does not check the tenant.
    """
    temporary, names = _temporary(entry), _names(entry)
    with translating(table.name):
        run(
            connection,
            f"CREATE TEMPORARY TABLE {temporary.removeprefix('pg_temp.')} ON COMMIT DROP"
            f" AS SELECT {names} FROM {table.sql} WITH NO DATA",
        )
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101  an open connection has it
        with driver.cursor() as cursor:
            statement = f"COPY {temporary} ({names}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')"
            with cursor.copy(statement) as copy:
                for block in blocks(folder, entry):
                    copy.write(block)
            rows = cursor.rowcount
    if rows != entry.rows:
        raise bad_export(
            str(folder / entry.file), f"it has {rows:,} rows, and the manifest says {entry.rows:,}"
        )
    foreign = connection.scalar(
        text(f"SELECT count(*) FROM {temporary} s WHERE ({table.of(manifest.tenant_id, 's')}) IS NOT TRUE")
    )
    if foreign:
        raise bad_rows(table.name, f"{foreign:,} of them belong to another tenant than {manifest.tenant_id}")


def _insert(
    connection: Connection,
    group: Sequence[TenantTable],
    entries: dict[str, TableEntry],
    slug: str | None,
) -> None:
    """Insert the rows of a group of tables in one statement: PostgreSQL checks foreign keys, circular ones too, at its end."""
    parts = [
        f"INSERT INTO {table.sql} ({_names(entries[table.name])}) OVERRIDING SYSTEM VALUE"
        f" SELECT {_names(entries[table.name])} FROM {_temporary(entries[table.name])}"
        for table in group
    ]
    *others, last = parts
    named = ", ".join(f"part_{number} AS ({part})" for number, part in enumerate(others))
    place = ", ".join(table.name for table in group)
    with translating(place):
        try:
            run(connection, f"WITH {named} {last}" if named else last)
        except DBAPIError as error:
            # Row-level security (RLS) can have hidden the tenant with this slug from `_reject_existing`.
            if state_of(error) == UNIQUE_VIOLATION and slug is not None:
                raise tenant_exists("slug", slug) from error
            raise
