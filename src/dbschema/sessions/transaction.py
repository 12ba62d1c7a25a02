"""Statements in text that a session refuses: they would end its transaction, or change for whom it works, behind its back.

Mistakes, not attacks: who can run SQL of his own, can do so in a function too. What limits him is the login.

What both kinds of sessions share: the first thing in each transaction is the role, with tenant and user, in one round trip.

`SET LOCAL` ends with the transaction, so that no connection carries it back to the pool, whatever happened. It goes
straight to the driver: the statements together are no single statement that could be prepared, and SQLAlchemy's own
way would cost as much again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from dbschema.ddl.audit import ADDRESS_SETTING, USER_SETTING
from dbschema.ddl.base import quote
from dbschema.ddl.tenancy import TENANT_SETTING
from dbschema.sessions.errors import RoleNotTaken, TransactionControl, no_transaction
from dbschema.sessions.literals import exact_address, exact_user
from dbschema.sql import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from sqlalchemy import Engine


_BEGINNING: Final = r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*"
_OURS: Final = r'"?app"?\s*\.\s*"?(?:tenant_id|user_id|ip_address|unaudited_tenant)"?(?!\w)'
_CONTROL: Final = re.compile(
    rf"{_BEGINNING}(?:"
    r"(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION|DISCARD|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b"
    rf"|RESET\s+(?:(?:ALL|ROLE|SESSION)\b|{_OURS})"
    r"|SET\s+(?:LOCAL\s+|SESSION\s+)?(?:ROLE|SESSION\s+AUTHORIZATION|AUTHORIZATION)\b"
    # Without LOCAL the connection takes it back to the pool, and the next session acts as somebody else.
    rf"|SET\s+(?:SESSION\s+)?{_OURS})",
    re.IGNORECASE,
)
_TENANT: Final = re.compile(rf'{_BEGINNING}SET\s+LOCAL\s+"?app"?\s*\.\s*"?tenant_id"?(?!\w)', re.IGNORECASE)


def check(statement: str, *, tenant: bool) -> None:
    """See that a statement leaves the transaction as it is, with its role and what the session said of itself.

    Args:
        statement: the text.
        tenant: whether the session has a tenant, which must stay as well.

    Raises:
        TransactionControl: it does not.
    """
    if _CONTROL.match(statement) or (tenant and _TENANT.match(statement)):
        raise TransactionControl(" ".join(statement.split())[:60])


_ROLE_REFUSED: Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)
_SEPARATOR: Final = "; "


class TransactionSession(Session):
    """A session each of whose transactions acts as a role, and for a tenant and a user where they are given.

    Args:
        bind: the engine, or for tests a connection, which has back what it came with when the session is through.
        role: a role that the login is a member of.
        tenant_id: the tenant.
        user_id: who acts, for the audit log; None: nothing is said.
        ip_address: where the request came from, likewise.
        options: of `sqlalchemy.orm.Session`.

    Raises:
        BadIdentity: `user_id` is no UUID, or `ip_address` is no address.
    """

    def __init__(
        self,
        bind: Engine | Connection | None,
        *,
        role: str,
        tenant_id: UUID | None,
        user_id: UUID | str | None,
        ip_address: IPv4Address | IPv6Address | str | None,
        **options: Any,
    ) -> None:
        self._role = role
        self._user_id = None if user_id is None else exact_user(user_id)
        self._ip_address = None if ip_address is None else exact_address(ip_address)
        self._opening, self._said = _opening(role, tenant_id, self._user_id, self._ip_address)
        self._closing: tuple[Connection, str] | None = None
        super().__init__(bind, **options)

    @property
    def role(self) -> str:
        """The role that each transaction takes."""
        return self._role

    @property
    def user_id(self) -> UUID | None:
        """Who acts, as the audit log is told; None: nothing is said."""
        return self._user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """Where the request came from, as the audit log is told; None: nothing is said."""
        return self._ip_address

    def _begin_acting(self, connection: Connection) -> None:
        """Begin the transaction of `connection`; where that fails, leave no connection to work with.

        Raises:
            NoTransaction: the connection is in AUTOCOMMIT, where SET LOCAL is void.
            RoleNotTaken: the login is no member of the role.
            sqlalchemy.exc.DBAPIError: the connection is lost.
        """
        try:
            if isinstance(self.bind, Connection):
                self._closing = connection, _standing(connection, self._said)
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
        """Give a connection that is not the session's own what it came with: role, tenant, and user where one was set."""
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


@lru_cache(maxsize=1024)
def _opening(
    role: str, tenant_id: UUID | None, user_id: UUID | None, ip_address: IPv4Address | IPv6Address | None
) -> tuple[str, tuple[str, ...]]:
    """The statements that each transaction begins with, and the settings that they make."""
    given = ((TENANT_SETTING, tenant_id), (USER_SETTING, user_id), (ADDRESS_SETTING, ip_address))
    settings = {name: str(value) for name, value in given if value is not None}
    return _statements(quote(role), settings), tuple(settings)


def _statements(role: str, settings: Mapping[str, str]) -> str:
    """The statements that take a role, given as SQL, and make settings.

    Values are literals, for SET takes no parameter and `set_config()` is not passed on to the workers of a distributed
    database.
    """
    made = (f"SET LOCAL {name} = {sql_string(value)}" for name, value in settings.items())
    return _SEPARATOR.join((f"SET LOCAL ROLE {role}", *made))


def _standing(connection: Connection, said: Iterable[str]) -> str:
    """The statements that bring back how `connection` stands, before a session says what it has to say."""
    names = list(dict.fromkeys((TENANT_SETTING, *said)))
    asked = ", ".join(f"current_setting('{name}', true)" for name in names)
    role, *values = connection.exec_driver_sql(f"SELECT current_setting('role'), {asked}").one()
    before = {name: value or "" for name, value in zip(names, values, strict=True)}
    return _statements("NONE" if role == "none" else quote(role), before)


def _execute(session: Session, connection: Connection, statements: str) -> None:
    proxied: Any = connection.connection
    driver = proxied.driver_connection
    if driver.autocommit:
        raise no_transaction(type(session).__name__)
    try:
        if isinstance(driver, psycopg.Connection):
            driver.execute(statements, prepare=False)
        elif isinstance(driver, psycopg.AsyncConnection):
            proxied.run_async(lambda given: given.execute(statements, prepare=False))
        else:
            for statement in statements.split(_SEPARATOR):
                connection.exec_driver_sql(statement)
    except psycopg.OperationalError:
        if getattr(driver, "closed", False):
            # Once more, so that SQLAlchemy sees that the connection is lost, empties the pool and raises its own error.
            connection.exec_driver_sql(statements)
        raise


def _leave_role(connection: Connection, _xid: Any) -> None:
    """Let the login itself prepare a two-phase transaction: PostgreSQL lets nobody else finish it."""
    connection.exec_driver_sql("SET LOCAL ROLE NONE")


@event.listens_for(TransactionSession, "after_begin", propagate=True)
def _begin(session: TransactionSession, transaction: SessionTransaction, connection: Connection) -> None:
    # A savepoint stands in a transaction that has begun so already.
    if not transaction.nested:
        session._begin_acting(connection)  # noqa: SLF001  its own listener


@event.listens_for(TransactionSession, "after_transaction_end", propagate=True)
def _end(session: TransactionSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session._end_acting()  # noqa: SLF001  its own listener
