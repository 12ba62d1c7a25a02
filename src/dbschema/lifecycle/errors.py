"""Why a tenant could not be created, exported, imported or removed, and the translation of what PostgreSQL says."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

UNIQUE_VIOLATION = "23505"
FOREIGN_KEY_VIOLATION = "23503"
_UNDEFINED = ("42P01", "42703", "3F000")
NOT_PRIVILEGED = "42501"
_DATA = ("22", "23")


class LifecycleError(DbSchemaError):
    """A tenant cannot be created, exported, imported or removed."""


class NoSuchTenant(LifecycleError):
    """A tenant was named that the database does not have, or does not show to this session."""

    def __init__(self, tenant: UUID | str) -> None:
        self.tenant = tenant
        super().__init__(
            f"There is no tenant {tenant} in table tenants",
            "See 'dbschema tenant list'; a role that row security binds finds a tenant by its id only",
        )


class TenantExists(LifecycleError):
    """Another tenant has the slug or the id."""

    def __init__(self, what: str, value: UUID | str) -> None:
        self.what, self.value = what, value
        super().__init__(
            f"There is a tenant with the {what} {str(value)!r} already",
            f"Choose another {what}, or remove that tenant first",
        )


class BadTenant(LifecycleError):
    """Name, slug or status of a tenant are not what the database accepts."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(
            f"The tenant is refused: {message}",
            "A slug has up to 63 lower case letters, digits and hyphens, with no hyphen at its ends",
        )


class TenantsHidden(LifecycleError):
    """The session is bound by row security and cannot list the tenants."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(
            f"Row security hides the tenants from role {role!r}",
            f"Connect as a member of {OPERATOR_ROLE.name} that acts as it (options=-c role={OPERATOR_ROLE.name}), or as a role"
            " that bypasses row security; or name one tenant by its id",
        )


class NoTableOfTenants(LifecycleError):
    """The MetaData has no table whose rows are the tenants, or several."""

    def __init__(self, found: Sequence[str]) -> None:
        self.found = tuple(found)
        super().__init__(
            f"The metadata declares {', '.join(found) or 'no table'} as the table of tenants, and there has to be one",
            "Import dbschema.models, and give the metadata that holds its tables",
        )


class UndeclaredTables(LifecycleError):
    """The database has tables with tenants' rows that the MetaData does not hold."""

    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tuple(tables)
        super().__init__(
            f"The database keeps tenants' rows in tables that the metadata does not declare: {', '.join(tables)}",
            "Give the metadata of the application that declares them (--models on the command line)",
        )


class MissingTable(LifecycleError):
    """The database has not a table that the MetaData declares."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(f"The database has no table {table}", "Run 'dbschema upgrade' first")


class Refused(LifecycleError):
    """PostgreSQL refused a statement."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(
            f"PostgreSQL refuses it at table {table}: {message}",
            "Connect as the owner of the tables, or have an administrator grant what is missing",
        )


class FolderTaken(LifecycleError):
    """The folder of an export is there already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"{str(folder)!r} is there already, and nothing is overwritten", "Name a new folder")


class BadExport(LifecycleError):
    """The files are no export of a tenant, or were changed since."""

    def __init__(self, place: str, what: str) -> None:
        self.place = place
        super().__init__(
            f"{place}: {what}", "Take the folder as the export wrote it, or export the tenant again"
        )


class OtherSchema(LifecycleError):
    """The database is not at the revision, or has not the columns, that the tenant was exported with."""

    def __init__(self, what: str) -> None:
        super().__init__(
            what,
            "Bring a database to the revision of the export, import there, upgrade it, and export from it again",
        )


class BadRows(LifecycleError):
    """The rows of a file cannot be read, belong to another tenant, or contradict each other or the database."""

    def __init__(self, table: str, message: str) -> None:
        self.table = table
        super().__init__(f"The rows of table {table} are refused: {message}", "Nothing was written")


class MustOwnTables(LifecycleError):
    """An import would be recorded as if somebody had made all these rows now."""

    def __init__(self, role: str, tables: Sequence[str]) -> None:
        self.role, self.tables = role, tuple(tables)
        super().__init__(
            f"Role {role!r} does not own {', '.join(tables)}, whose changes are recorded, so that the import would be too",
            "Connect as the owner of the tables",
        )


class StillWritten(LifecycleError):
    """A tenant gets new rows, or its rows are locked, for as long as it is being removed."""

    def __init__(self, tenant: UUID, message: str) -> None:
        self.tenant = tenant
        super().__init__(
            f"The rows of tenant {tenant} are still in use: {message}",
            "End the sessions that work for it and call again; what was removed stays removed",
        )


class RowsLeft(LifecycleError):
    """Rows do not go with their tenant, because no foreign key leads from their table to the tenants."""

    def __init__(self, tenant: UUID, tables: Sequence[str]) -> None:
        self.tenant, self.tables = tenant, tuple(tables)
        super().__init__(
            f"Rows of tenant {tenant} would stay in {', '.join(tables)}",
            "Give these tables a foreign key to the tenants that cascades, as TenantScoped does",
        )


class NotTransactional(LifecycleError):
    """The connection commits each statement by itself."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in autocommit mode, and a tenant is created or not",
            "Give a connection with transactions",
        )


def state_of(error: BaseException) -> str:
    """The SQLSTATE of an error of SQLAlchemy or psycopg; '' where there is none."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def message_of(error: BaseException) -> str:
    """What PostgreSQL says, in one line, with the line of a file where it names one."""
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
    """Turn what PostgreSQL refuses at `table` into a `LifecycleError`; failing connections pass through."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        state = state_of(error)
        if state.startswith(_DATA):
            raise BadRows(table, message_of(error)) from error
        if state in _UNDEFINED:
            raise MissingTable(table) from error
        if state == NOT_PRIVILEGED:
            raise Refused(table, message_of(error)) from error
        raise
