"""Sessions across tenants, for operators: they use a separately granted role, and log each transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import TextClause, event

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.sessions.errors import no_reason
from dbschema.sessions.transaction import TransactionSession, check

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import ORMExecuteState, SessionTransaction

log: Final = logging.getLogger("dbschema.sessions")


class OperatorSession(TransactionSession):
    """A session that sees and writes the rows of all tenants, as the role `dbschema_operator`.

    Each transaction is logged as a warning of the logger `dbschema.sessions`, with login, role and reason.

    Args:
        bind: the engine of a login with the role.
        reason: the reason for the session, for the log.
        user_id: the acting user; the audit log has it in rows of the user's own tenant. None: not set.
        ip_address: the address that the request came from, for the audit log; None: not set.
        options: options of `sqlalchemy.orm.Session`.

    Raises:
        SessionError: `reason` is empty.
        BadIdentity: `user_id` is not a UUID, or `ip_address` is not an address.
    """

    def __init__(
        self,
        bind: Engine | Connection | None = None,
        *,
        reason: str,
        user_id: UUID | str | None = None,
        ip_address: IPv4Address | IPv6Address | str | None = None,
        **options: Any,
    ) -> None:
        self._reason = " ".join(reason.split())
        if not self._reason:
            raise no_reason()
        super().__init__(
            bind,
            role=OPERATOR_ROLE.name,
            tenant_id=None,
            user_id=user_id,
            ip_address=ip_address,
            **options,
        )

    @property
    def reason(self) -> str:
        """The reason for the session, on one line."""
        return self._reason


def operator_session(
    engine: Engine | Connection,
    *,
    reason: str,
    user_id: UUID | str | None = None,
    ip_address: IPv4Address | IPv6Address | str | None = None,
    **options: Any,
) -> OperatorSession:
    """Open a session across tenants, for a `with` block; it does not commit automatically. See `OperatorSession`."""
    return OperatorSession(engine, reason=reason, user_id=user_id, ip_address=ip_address, **options)


@event.listens_for(OperatorSession, "after_begin")
def _log(session: OperatorSession, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        url = connection.engine.url
        log.warning(
            "%s works across the tenants of %s as %s: %s",
            url.username,
            url.database,
            session.role,
            session.reason,
        )


@event.listens_for(OperatorSession, "do_orm_execute")
def _execute(state: ORMExecuteState) -> None:
    if isinstance(state.statement, TextClause):
        check(state.statement.text, tenant=False)
