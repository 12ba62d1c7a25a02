"""As which role behaviour is checked: the application's, or the session's own where row security binds it.

As a role that bypasses row security, every check of isolation would be worthless, and some would fail for no reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from dbschema.ddl.base import qualified, quote
from dbschema.ddl.tenancy import APP_ROLE
from dbschema.verify.errors import Unmet
from dbschema.verify.recording import execute, one_line, savepoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

_SESSION = """
SELECT current_user, r.rolsuper OR r.rolbypassrls, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %(app)s)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True)
class Actor:
    """Who asks.

    Args:
        role: the role that behaviour is checked as; the session has it from now on, until the rollback.
        own: the role that the session had before.
    """

    role: str
    own: str


def take_role(connection: Connection, tables: Sequence[Table]) -> Actor:
    """Become the role that behaviour is checked as.

    Raises:
        Unmet: there is none; says which statement an administrator has to run.
    """
    own, bypasses, app_exists = execute(connection, _SESSION, {"app": APP_ROLE.name}).one()
    grant = f"have an administrator run GRANT {quote(APP_ROLE.name)} TO {quote(own)}"
    if not app_exists:
        raise Unmet(
            f"role {APP_ROLE.name} is missing; run CREATE ROLE {quote(APP_ROLE.name)} NOLOGIN, then {grant}"
        )
    try:
        with savepoint(connection, keep=True):
            execute(connection, f"SET LOCAL ROLE {quote(APP_ROLE.name)}")
    except DBAPIError as error:
        if connection.invalidated:
            raise
        if bypasses:
            raise Unmet(
                f"role {own} bypasses row security and may not act as {APP_ROLE.name}; {grant}"
            ) from error
        if not all(_may_write(connection, table) for table in tables):
            raise Unmet(
                f"role {own} may neither write the tables nor act as {APP_ROLE.name}; {grant}"
            ) from error
        return Actor(own, own)
    return Actor(APP_ROLE.name, own)


def as_own_role(connection: Connection, actor: Actor) -> None:
    """Go back to the session's own role, until the savepoint of the check is rolled back."""
    execute(connection, f"SET LOCAL ROLE {quote(actor.own)}")


def unbound(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """The tables on which row security does not bind the current role."""
    found = []
    for table in tables:
        name = qualified(table.schema, table.name)
        try:
            with savepoint(connection):
                active = execute(
                    connection, "SELECT row_security_active(%(name)s::text)", {"name": name}
                ).scalar()
        except DBAPIError as error:
            if connection.invalidated:
                raise
            found.append(f"{table.name} ({one_line(error)})")
        else:
            if not active:
                found.append(table.name)
    return found


def _may_write(connection: Connection, table: Table) -> bool:
    query = "SELECT coalesce(has_table_privilege(to_regclass(%(name)s)::oid, 'INSERT'), true)"
    return bool(execute(connection, query, {"name": qualified(table.schema, table.name)}).scalar())
