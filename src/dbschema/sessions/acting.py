"""What both kinds of sessions share: the first thing in each transaction is the role, with the tenant, in one round trip.

`SET LOCAL` ends with the transaction, so that no connection carries it back to the pool, whatever happened. It goes
straight to the driver: both statements together are no single statement that could be prepared, and SQLAlchemy's own
way would cost as much again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from dbschema.ddl.objects import quote
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.sessions.errors import NoTransaction, RoleNotTaken
from dbschema.types import sql_string

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Engine

_ROLE_REFUSED: Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)
_SEPARATOR: Final = "; "


class ActingSession(Session):
    """A session each of whose transactions acts as a role, and for a tenant where one is given.

    Args:
        bind: the engine, or for tests a connection, which has its role and tenant back when the session is through.
        role: a role that the login is a member of.
        tenant_id: the tenant.
        options: of `sqlalchemy.orm.Session`.
    """

    def __init__(
        self, bind: Engine | Connection | None, *, role: str, tenant_id: UUID | None, **options: Any
    ) -> None:
        self._role = role
        self._opening = _opening(role, tenant_id)
        self._closing: tuple[Connection, str] | None = None
        super().__init__(bind, **options)

    @property
    def role(self) -> str:
        """The role that each transaction takes."""
        return self._role

    def _begin_acting(self, connection: Connection) -> None:
        """Begin the transaction of `connection`; where that fails, leave no connection to work with.

        Raises:
            NoTransaction: the connection is in AUTOCOMMIT, where SET LOCAL is void.
            RoleNotTaken: the login is no member of the role.
            sqlalchemy.exc.DBAPIError: the connection is lost.
        """
        try:
            if isinstance(self.bind, Connection):
                self._closing = connection, _standing(connection)
            _execute(self, connection, self._opening)
        except BaseException as error:
            # The session keeps its connection, and would go on as the login itself and without a tenant.
            if not connection.invalidated:
                connection.invalidate()
            if isinstance(error, _ROLE_REFUSED):
                raise RoleNotTaken(
                    self._role,
                    connection.engine.url.username or "?",
                    error.diag.message_primary or str(error),
                    exists=isinstance(error, psycopg.errors.InsufficientPrivilege),
                ) from error
            raise
        if self.twophase:
            event.listen(connection, "prepare_twophase", _leave_role)

    def _end_acting(self) -> None:
        """Give a connection that is not the session's own the role and the tenant back that it came with."""
        if self._closing is None:
            return
        connection, statements = self._closing
        self._closing = None
        if connection.closed or connection.invalidated or not connection.in_transaction():
            return
        driver: Any = connection.connection.driver_connection
        # Where the transaction has failed, its end takes all with it.
        if driver.info.transaction_status == TransactionStatus.INTRANS:
            _execute(self, connection, statements)


def _opening(role: str, tenant_id: UUID | None) -> str:
    """The statements that a transaction begins with.

    The tenant is a literal, for SET takes no parameter and `set_config()` is not passed on to the workers of a
    distributed database.
    """
    statements = f"SET LOCAL ROLE {quote(role)}"
    return (
        statements
        if tenant_id is None
        else f"{statements}{_SEPARATOR}SET LOCAL {TENANT_SETTING} = '{tenant_id}'"
    )


def _standing(connection: Connection) -> str:
    """The statements that bring back how `connection` stands."""
    found = connection.exec_driver_sql(
        f"SELECT current_setting('role'), current_setting('{TENANT_SETTING}', true)"
    )
    role, tenant_id = found.one()
    role = "NONE" if role == "none" else quote(role)
    return f"SET LOCAL ROLE {role}{_SEPARATOR}SET LOCAL {TENANT_SETTING} = {sql_string(tenant_id or '')}"


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
            for statement in statements.split(_SEPARATOR):
                connection.exec_driver_sql(statement)
    except psycopg.OperationalError:
        if driver.closed:
            # Once more, so that SQLAlchemy sees that the connection is lost, empties the pool and raises its own error.
            connection.exec_driver_sql(statements)
        raise


def _leave_role(connection: Connection, _xid: Any) -> None:
    """Let the login itself prepare a two-phase transaction: PostgreSQL lets nobody else finish it."""
    connection.exec_driver_sql("SET LOCAL ROLE NONE")


@event.listens_for(ActingSession, "after_begin", propagate=True)
def _begin(session: ActingSession, transaction: SessionTransaction, connection: Connection) -> None:
    # A savepoint stands in a transaction that has begun so already.
    if not transaction.nested:
        session._begin_acting(connection)  # noqa: SLF001  its own listener


@event.listens_for(ActingSession, "after_transaction_end", propagate=True)
def _end(session: ActingSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session._end_acting()  # noqa: SLF001  its own listener
