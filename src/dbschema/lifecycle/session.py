"""How a session of the lifecycle is set up: the tenant, and values written as every server reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from dbschema.ddl.audit import SILENCE_SETTING
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.lifecycle.errors import NoSuchTenant, translating

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection, MetaData

    from dbschema.lifecycle.scope import Scope, TenantTable

_FORMATS = (
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
    # Off, it would turn a filtered row into an error.
    "SET LOCAL row_security = on",
)


def run(connection: Connection, statement: str) -> None:
    """Execute SQL as it stands: without parameters, the driver leaves percent signs alone."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def become(connection: Connection, tenant: UUID) -> None:
    """Set the tenant for the transaction; its changes leave no audit rows, where the role owns the tables."""
    run(connection, f"SET LOCAL {TENANT_SETTING} = '{tenant}'")
    run(connection, f"SET LOCAL {SILENCE_SETTING} = '{tenant}'")


def fix_formats(connection: Connection) -> None:
    """Have values written, and read, the same by every server."""
    for statement in _FORMATS:
        run(connection, statement)


def slug_and_name(connection: Connection, root: TenantTable, tenant: UUID) -> tuple[str, str]:
    """Slug and name of the tenant.

    Raises:
        NoSuchTenant: it is not there, or hidden.
    """
    with translating(root.name):
        row = connection.execute(
            text(f"SELECT slug, tenant_name FROM {root.sql} WHERE {root.of(tenant)}")  # noqa: S608  names of the metadata and a UUID
        ).one_or_none()
    if row is None:
        raise NoSuchTenant(tenant)
    return str(row[0]), str(row[1])


def scope_for(metadata: MetaData | None) -> Scope:
    """The tables of `metadata`; None: those of this package's models, and of what was derived from its Base."""
    from dbschema.lifecycle.scope import scope_of  # noqa: PLC0415  beside the models, which take time
    from dbschema.models import metadata as models  # noqa: PLC0415  as above

    return scope_of(models if metadata is None else metadata)
