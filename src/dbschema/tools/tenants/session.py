"""Set up a session for the work on one tenant: its role, its tenant, and value formats that every server reads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from dbschema.ddl import tenancy
from dbschema.ddl.audit import SILENCE_SETTING
from dbschema.ddl.base import quote
from dbschema.ddl.tenancy import APP_ROLE
from dbschema.tools.tenants.errors import no_such_tenant, translating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sqlalchemy import Connection, MetaData

    from dbschema.tools.tenants.scope import Scope, TenantTable

_FORMATS = (
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
    # With the value off, a filtered row would be an error.
    "SET LOCAL row_security = on",
)


_NEEDS_ROLE = text(
    "SELECT NOT has_table_privilege(to_regclass(:table), 'SELECT') AND pg_has_role(to_regrole(:role),"
    " CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"
)


def run(connection: Connection, statement: str) -> None:
    """Execute SQL without parameters, so that the driver does not interpret percent signs."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def take_role(connection: Connection, root: str) -> None:
    """Set the application's role for the transaction if the current role may not read the tenants and is a member of it.

    A login that does not inherit the privileges of the role thus gets them.

    Args:
        connection: a connection in a transaction.
        root: the table of tenants, as SQL.
    """
    if connection.scalar(_NEEDS_ROLE, {"table": root, "role": quote(APP_ROLE.name)}):
        run(connection, f"SET LOCAL ROLE {quote(APP_ROLE.name)}")


@contextmanager
def same_role(connection: Connection) -> Iterator[None]:
    """Restore the current role after the block."""
    before = str(connection.scalar(text("SELECT current_setting('role')")))
    yield
    run(connection, f"SET LOCAL ROLE {'NONE' if before == 'none' else quote(before)}")


def become(connection: Connection, root: str, tenant: UUID) -> None:
    """Set role and tenant for the transaction, and turn off its audit rows if the role owns the tables."""
    take_role(connection, root)
    run(connection, tenancy.setting(tenant))
    run(connection, f"SET LOCAL {SILENCE_SETTING} = '{tenant}'")


def fix_formats(connection: Connection) -> None:
    """Set the value formats for the transaction, so that every server writes and reads the same text."""
    for statement in _FORMATS:
        run(connection, statement)


def slug_and_name(connection: Connection, root: TenantTable, tenant: UUID) -> tuple[str, str]:
    """Return the slug and the name of a tenant.

    Raises:
        NoSuchTenant: the tenant does not exist, or is hidden from the role.
    """
    with translating(root.name):
        row = connection.execute(
            text(f"SELECT slug, tenant_name FROM {root.sql} WHERE {root.of(tenant)}")  # noqa: S608  quoted names of the metadata and a UUID
        ).one_or_none()
    if row is None:
        raise no_such_tenant(tenant)
    return str(row[0]), str(row[1])


def scope_for(metadata: MetaData | None) -> Scope:
    """Return the scope of `metadata`; None: the models of this package, and all models derived from its Base."""
    from dbschema.models import metadata as models  # noqa: PLC0415  slow to import
    from dbschema.tools.tenants.scope import scope_of  # noqa: PLC0415  as above

    return scope_of(models if metadata is None else metadata)
