"""Errors of the creation, export, import and removal of a tenant, and the translation of PostgreSQL's errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.errors import (
    DbSchemaError,
    MissingPrivilege,
    NoSuchTenant,
    NotMigrated,
    NoTransaction,
    TenantExists,
    TenantsHidden,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

UNIQUE_VIOLATION = "23505"
FOREIGN_KEY_VIOLATION = "23503"
_UNDEFINED = ("42P01", "42703", "3F000")
NOT_PRIVILEGED = "42501"
_DATA = ("22", "23")


class TenantsError(DbSchemaError):
    """A tenant cannot be created, exported, imported or removed.

    Changed: nothing, unless the message says otherwise.
    Fix: follow the message.
    """

    code = "tenants"


class UndeclaredTables(TenantsError):
    """The models do not declare every table that holds rows of tenants, or not exactly one table of tenants.

    Changed: nothing.
    Fix: pass the MetaData of the application that declares them (`--models` on the command line).

    Args:
        tables: the undeclared tables, or the tables that are declared as the table of tenants.
        what: the situation; no full stop at its end.
        next_step: what the caller can do; no full stop at its end.
    """

    code = "undeclared-tables"

    def __init__(self, tables: Sequence[str], what: str, next_step: str) -> None:
        self.tables = tuple(tables)
        super().__init__(what, next_step)


def undeclared_tables(tables: Sequence[str]) -> UndeclaredTables:
    """The database has tables with rows of tenants, and the MetaData does not declare them."""
    return UndeclaredTables(
        tables,
        f"The database has rows of tenants in tables that the metadata does not declare: {', '.join(tables)}",
        "Pass the metadata of the application that declares them (--models on the command line)",
    )


def no_table_of_tenants(declared: Sequence[str]) -> UndeclaredTables:
    """The MetaData has no table of tenants, or several."""
    return UndeclaredTables(
        declared,
        f"The metadata declares {', '.join(declared) or 'no table'} as the table of tenants, and exactly one is required",
        "Import dbschema.models, and pass the metadata that contains its tables",
    )


class BadExport(TenantsError):
    """The files are not an export, were changed since the export, or hold rows that the database rejects.

    Changed: nothing.
    Fix: use the folder as the export wrote it, or export the tenant again.

    Args:
        place: the file or the table.
        what: what is wrong, and where; no full stop at its end.
        next_step: what the caller can do; no full stop at its end.
    """

    code = "bad-export"

    def __init__(self, place: str, what: str, next_step: str) -> None:
        self.place = place
        super().__init__(what, next_step)


def bad_export(place: str, what: str) -> BadExport:
    """A file of the export is missing, malformed or changed."""
    return BadExport(
        place, f"{place}: {what}", "Use the folder as the export wrote it, or export the tenant again"
    )


def bad_rows(table: str, message: str) -> BadExport:
    """The rows of a file are malformed, belong to another tenant, or violate a constraint."""
    return BadExport(table, f"The rows of table {table} are rejected: {message}", "Nothing was written")


class OtherSchema(TenantsError):
    """The database has another revision, other tables or other columns than the one that the tenant was exported from.

    Changed: nothing.
    Fix: bring a database to the revision of the export, import there, upgrade it, and export from it again.

    Args:
        what: the difference; no full stop at its end.
    """

    code = "other-schema"

    def __init__(self, what: str) -> None:
        super().__init__(
            what,
            "Bring a database to the revision of the export, import there, upgrade it, and export from it again",
        )


class StillWritten(TenantsError):
    """Other sessions lock the rows of a tenant, or write new ones, until the deadline of its removal.

    Changed: the committed batches stay removed.
    Fix: end the sessions that work for the tenant; then remove it again.

    Args:
        tenant: its id.
        message: the message of the server.
    """

    code = "still-written"

    def __init__(self, tenant: UUID, message: str) -> None:
        self.tenant = tenant
        super().__init__(
            f"The rows of tenant {tenant} are still in use: {message}",
            "End the sessions that work for the tenant and call again; the removed rows stay removed",
        )


def no_such_tenant(tenant: UUID | str) -> NoSuchTenant:
    """The database has no such tenant, or hides it from this session."""
    return NoSuchTenant(
        tenant,
        "See 'dbschema tenant list'; a role bound by row-level security (RLS) finds a tenant by its id only",
    )


def tenant_exists(key: str, value: UUID | str) -> TenantExists:
    """Another tenant has the slug or the id."""
    return TenantExists(
        key,
        value,
        f"A tenant with the {key} {str(value)!r} exists already",
        f"Choose another {key}, or remove that tenant first",
    )


def tenants_hidden(role: str) -> TenantsHidden:
    """The role is bound by row-level security and cannot list the tenants."""
    return TenantsHidden(
        role,
        f"Connect as a member of {OPERATOR_ROLE.name} that acts as it (options=-c role={OPERATOR_ROLE.name}), or as a role"
        " that bypasses row-level security (RLS); or name one tenant by its id",
    )


def no_transaction() -> NoTransaction:
    """The connection commits each statement, so that a failure would leave half of a tenant."""
    return NoTransaction(
        "The connection is in autocommit mode, and a failure would leave half of a tenant",
        "Pass a connection with transactions",
    )


def missing_table(table: str) -> NotMigrated:
    """The database lacks a table that the MetaData declares."""
    return NotMigrated(table, f"The database has no table {table}")


def missing_privilege(table: str, message: str) -> MissingPrivilege:
    """PostgreSQL rejects a statement because the role lacks a privilege."""
    return MissingPrivilege(
        f"PostgreSQL rejects the statement at table {table}: {message}",
        "Connect as the owner of the tables, or have an administrator grant the missing privilege",
        table=table,
    )


def must_own_tables(role: str, tables: Sequence[str]) -> MissingPrivilege:
    """The import needs the owner of the audited tables: another role cannot turn off the audit log for the imported rows."""
    return MissingPrivilege(
        f"Role {role!r} does not own {', '.join(tables)}, and the audit log would record the import of their rows as new changes",
        "Connect as the owner of the tables",
        role=role,
    )


def bad_tenant(message: str) -> TenantsError:
    """The database rejects the name, the slug or the status of a tenant."""
    return TenantsError(
        f"The tenant is rejected: {message}",
        "A slug has up to 63 lower case letters, digits and hyphens, and no hyphen at its ends",
    )


def folder_taken(folder: Path) -> TenantsError:
    """The folder of an export exists."""
    return TenantsError(
        f"The folder {str(folder)!r} exists already, and nothing is overwritten", "Name a new folder"
    )


def rows_left(tenant: UUID, tables: Sequence[str]) -> TenantsError:
    """Rows would remain after a removal, because their table has no foreign key to the tenants."""
    return TenantsError(
        f"Rows of tenant {tenant} would stay in {', '.join(tables)}",
        "Add a cascading foreign key to the tenants to these tables, as TenantScoped does",
    )


def state_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error of SQLAlchemy or psycopg; empty if it has no SQLSTATE."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def message_of(error: BaseException) -> str:
    """Return the message of PostgreSQL as one line, with the line of the COPY data if it names one."""
    original = getattr(error, "orig", error)
    if not isinstance(original, psycopg.Error):
        return " ".join(str(original).split())
    text = original.diag.message_primary or str(original).partition("\n")[0]
    context = (original.diag.context or "").partition("\n")[0]
    if context.startswith("COPY "):
        text += f" ({context.partition(':')[0]})"
    return " ".join(text.split())


@contextmanager
def translating(table: str) -> Iterator[None]:
    """Translate errors of PostgreSQL at `table` into errors of this module; connection errors pass through."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        state = state_of(error)
        if state.startswith(_DATA):
            raise bad_rows(table, message_of(error)) from error
        if state in _UNDEFINED:
            raise missing_table(table) from error
        if state == NOT_PRIVILEGED:
            raise missing_privilege(table, message_of(error)) from error
        raise
