"""Sessions across tenants, for operators: a role of its own that is granted separately, and a log line for each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from dbschema.ddl.tenancy import OPERATOR_ROLE
from dbschema.sessions.beginning import enter, opening
from dbschema.sessions.errors import NoReason

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log: Final = logging.getLogger("dbschema.sessions")


class OperatorSession(Session):
    """A session that sees and writes the rows of all tenants, as the role `dbschema_operator`.

    Args:
        bind: the engine.
        reason: why; it is logged, and told to the server as the comment of each transaction's first statement.
        options: of `sqlalchemy.orm.Session`.

    Raises:
        NoReason: `reason` is empty.
    """

    def __init__(self, bind: Engine | Connection | None = None, *, reason: str, **options: Any) -> None:
        self._reason = " ".join(reason.split())
        if not self._reason:
            raise NoReason
        super().__init__(bind, **options)

    @property
    def reason(self) -> str:
        """Why this session was opened, on one line."""
        return self._reason


def operator_session(engine: Engine | Connection, *, reason: str, **options: Any) -> OperatorSession:
    """A session across tenants, for a `with` block; it does not commit by itself.

    Args:
        engine: the engine of a login that was granted `dbschema_operator`.
        reason: why; it is logged.
        options: of `sqlalchemy.orm.Session`.

    Raises:
        NoReason: `reason` is empty.
    """
    return OperatorSession(engine, reason=reason, **options)


@event.listens_for(OperatorSession, "after_begin")
def _begin(session: OperatorSession, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return
    enter(session, connection, opening(OPERATOR_ROLE.name, None), OPERATOR_ROLE.name)
    user = connection.engine.url.username
    log.warning("%s works across tenants as %s: %s", user, OPERATOR_ROLE.name, session.reason)
