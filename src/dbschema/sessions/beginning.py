"""The first thing in each transaction of a session: role and tenant, in one round trip.

`SET LOCAL` ends with the transaction, so that no connection carries it back to the pool, whatever happened. It goes
straight to the driver: both statements together are no single statement that could be prepared, and SQLAlchemy's own
way would cost as much again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import Connection, event

from dbschema.ddl.objects import quote
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.sessions.errors import NoTransaction, RoleNotTaken

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

_ROLE_REFUSED: Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)


def opening(role: str, tenant_id: UUID | None) -> str:
    """The statements that a transaction begins with.

    The tenant is a literal, for SET takes no parameter and `set_config()` is not passed on to the workers of a
    distributed database.
    """
    statements = f"SET LOCAL ROLE {quote(role)}"
    return statements if tenant_id is None else f"{statements}; SET LOCAL {TENANT_SETTING} = '{tenant_id}'"


def enter(session: Session, connection: Connection, statements: str, role: str) -> None:
    """Begin the transaction of `connection` with `statements`; where that fails, leave no connection to work with.

    Raises:
        NoTransaction: the connection is in AUTOCOMMIT, where SET LOCAL is void.
        RoleNotTaken: the login is no member of the role.
        sqlalchemy.exc.DBAPIError: the connection is lost.
    """
    try:
        _execute(session, connection, statements)
    except BaseException as error:
        # The session keeps its connection, and would go on as the login itself and without a tenant.
        if not connection.invalidated:
            connection.invalidate()
        if isinstance(error, _ROLE_REFUSED):
            user = connection.engine.url.username or "?"
            raise RoleNotTaken(
                role,
                user,
                error.diag.message_primary or str(error),
                exists=isinstance(error, psycopg.errors.InsufficientPrivilege),
            ) from error
        raise
    if session.twophase:
        event.listen(connection, "prepare_twophase", _leave_role)


def _leave_role(connection: Connection, _xid: Any) -> None:
    """Let the login itself prepare a two-phase transaction: PostgreSQL lets nobody else finish it."""
    connection.exec_driver_sql("SET LOCAL ROLE NONE")


def _execute(session: Session, connection: Connection, statements: str) -> None:
    proxied: Any = connection.connection
    driver = proxied.driver_connection
    if driver.autocommit:
        raise NoTransaction(type(session).__name__)
    try:
        if isinstance(driver, psycopg.Connection):
            driver.execute(statements, prepare=False)
        elif isinstance(driver, psycopg.AsyncConnection):
            proxied.run_async(lambda given: given.execute(statements, prepare=False))
        else:
            for statement in statements.split("; "):
                connection.exec_driver_sql(statement)
    except psycopg.OperationalError:
        if driver.closed:
            # Once more, so that SQLAlchemy sees that the connection is lost, empties the pool and raises its own error.
            connection.exec_driver_sql(statements)
        raise
