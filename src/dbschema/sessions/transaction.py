"""The base of both sessions: each transaction begins with its role, tenant and user, in one round trip.

`SET LOCAL` ends with the transaction, so a connection never returns to the pool with these settings. The statements go
directly to the driver: several statements cannot be prepared as one, and SQLAlchemy's execution would double the cost.

A session rejects textual statements that end its transaction, or change its role, tenant or user. This check finds
mistakes, not attacks: SQL in a function passes it. The privileges of the login are the limit.
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
    # Without LOCAL the setting stays in the connection, and the next session from the pool would have it.
    rf"|SET\s+(?:SESSION\s+)?{_OURS})",
    re.IGNORECASE,
)
_TENANT: Final = re.compile(rf'{_BEGINNING}SET\s+LOCAL\s+"?app"?\s*\.\s*"?tenant_id"?(?!\w)', re.IGNORECASE)


def check(statement: str, *, tenant: bool) -> None:
    """Check that a statement does not end the transaction, or change its role and settings.

    Args:
        statement: the text.
        tenant: whether the session has a tenant, which a statement must not change either.

    Raises:
        TransactionControl: the statement does.
    """
    if _CONTROL.match(statement) or (tenant and _TENANT.match(statement)):
        raise TransactionControl(" ".join(statement.split())[:60])


_ROLE_ERRORS: Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)
_SEPARATOR: Final = "; "


class TransactionSession(Session):
    """A session that sets a role, and optionally a tenant, a user and an address, in each transaction.

    Args:
        bind: the engine, or for tests a connection; the session restores its role and settings at the end.
        role: a role of which the login is a member.
        tenant_id: the tenant; None: not set.
        user_id: the acting user, for the audit log; None: not set.
        ip_address: the address that the request came from, for the audit log; None: not set.
        options: options of `sqlalchemy.orm.Session`.

    Raises:
        BadIdentity: `user_id` is not a UUID, or `ip_address` is not an address.
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
        self._opening, self._setting_names = _opening_statements(
            role, tenant_id, self._user_id, self._ip_address
        )
        self._closing: tuple[Connection, str] | None = None
        super().__init__(bind, **options)

    @property
    def role(self) -> str:
        """The role of each transaction."""
        return self._role

    @property
    def user_id(self) -> UUID | None:
        """The acting user, for the audit log; None: not set."""
        return self._user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """The address that the request came from, for the audit log; None: not set."""
        return self._ip_address

    def _take_role(self, connection: Connection) -> None:
        """Set the role and the settings of a transaction; invalidate the connection if that fails.

        Raises:
            NoTransaction: the connection is in AUTOCOMMIT, where SET LOCAL has no effect.
            RoleNotTaken: the login is not a member of the role.
            sqlalchemy.exc.DBAPIError: the connection is lost.
        """
        try:
            if isinstance(self.bind, Connection):
                self._closing = connection, _restoring_statements(connection, self._setting_names)
            _execute(self, connection, self._opening)
        except BaseException as error:
            # The session would otherwise continue on this connection as the login itself, without a tenant.
            if not connection.invalidated:
                connection.invalidate()
            if isinstance(error, _ROLE_ERRORS):
                raise RoleNotTaken(
                    self._role,
                    connection.engine.url.username or "?",
                    error.diag.message_primary or str(error),
                    exists=isinstance(error, psycopg.errors.InsufficientPrivilege),
                ) from error
            raise
        if self.twophase:
            event.listen(connection, "prepare_twophase", _leave_role)

    def _restore_connection(self) -> None:
        """Restore the role and the settings of a connection that the caller passed as `bind`."""
        if self._closing is None:
            return
        connection, statements = self._closing
        self._closing = None
        if connection.closed or connection.invalidated or not connection.in_transaction():
            return
        driver: Any = connection.connection.driver_connection
        # If the transaction has failed, its rollback restores the settings.
        if driver.info.transaction_status == TransactionStatus.INTRANS:
            _execute(self, connection, statements)


@lru_cache(maxsize=1024)
def _opening_statements(
    role: str, tenant_id: UUID | None, user_id: UUID | None, ip_address: IPv4Address | IPv6Address | None
) -> tuple[str, tuple[str, ...]]:
    """Return the statements at the beginning of each transaction, and the names of their settings."""
    values = ((TENANT_SETTING, tenant_id), (USER_SETTING, user_id), (ADDRESS_SETTING, ip_address))
    settings = {name: str(value) for name, value in values if value is not None}
    return _statements(quote(role), settings), tuple(settings)


def _statements(role: str, settings: Mapping[str, str]) -> str:
    """Return the statements that take a role, which is SQL, and make settings.

    Values are literals: SET takes no parameters, and a distributed database does not propagate `set_config()` to its
    workers.
    """
    assignments = (f"SET LOCAL {name} = {sql_string(value)}" for name, value in settings.items())
    return _SEPARATOR.join((f"SET LOCAL ROLE {role}", *assignments))


def _restoring_statements(connection: Connection, settings: Iterable[str]) -> str:
    """Return the statements that restore the present role, tenant and `settings` of a connection."""
    names = list(dict.fromkeys((TENANT_SETTING, *settings)))
    selected = ", ".join(f"current_setting('{name}', true)" for name in names)
    role, *values = connection.exec_driver_sql(f"SELECT current_setting('role'), {selected}").one()
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
            proxied.run_async(lambda raw: raw.execute(statements, prepare=False))
        else:
            for statement in statements.split(_SEPARATOR):
                connection.exec_driver_sql(statement)
    except psycopg.OperationalError:
        if getattr(driver, "closed", False):
            # Repeat it through SQLAlchemy, which detects the lost connection, empties the pool and raises its error.
            connection.exec_driver_sql(statements)
        raise


def _leave_role(connection: Connection, _xid: Any) -> None:
    """Reset the role before PREPARE TRANSACTION: PostgreSQL lets only the preparing role finish the transaction."""
    connection.exec_driver_sql("SET LOCAL ROLE NONE")


@event.listens_for(TransactionSession, "after_begin", propagate=True)
def _begin(session: TransactionSession, transaction: SessionTransaction, connection: Connection) -> None:
    # A savepoint belongs to a transaction that has the role already.
    if not transaction.nested:
        session._take_role(connection)  # noqa: SLF001  its own listener


@event.listens_for(TransactionSession, "after_transaction_end", propagate=True)
def _end(session: TransactionSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session._restore_connection()  # noqa: SLF001  its own listener
