"""What a session refuses, each as an error of its own with its facts as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import SessionError

if TYPE_CHECKING:
    from uuid import UUID


_UUID_STEP = "Give a UUID, or its text as in '0192d4e0-7b1a-7000-8000-000000000000'"


class NotATenant(SessionError):
    """What was given as a tenant's id is none.

    Args:
        given: what was given; of a text that is no UUID, the first characters.
    """

    def __init__(self, given: object) -> None:
        self.given = given
        super().__init__(f"{_shown(given)} is not the id of a tenant", _UUID_STEP)


class NotAUser(SessionError):
    """What was given as a user's id is none.

    Args:
        given: what was given.
    """

    def __init__(self, given: object) -> None:
        self.given = given
        super().__init__(f"{_shown(given)} is not the id of a user", _UUID_STEP)


class NotAnAddress(SessionError):
    """What was given as the address of a request is none.

    Args:
        given: what was given.
    """

    def __init__(self, given: object) -> None:
        self.given = given
        super().__init__(
            f"{_shown(given)} is not an address of IPv4 or IPv6",
            "Give one address, as in '192.0.2.7' or '2001:db8::1', without port; leave it out where there is none",
        )


class ForeignTenant(SessionError):
    """An object or a row of another tenant was handed to a session.

    Args:
        entity: its class.
        tenant_id: whose it is.
        session_tenant_id: whose the session is.
    """

    def __init__(self, entity: str, tenant_id: object, session_tenant_id: UUID) -> None:
        self.entity, self.tenant_id, self.session_tenant_id = entity, tenant_id, session_tenant_id
        super().__init__(
            f"The {entity} belongs to tenant {tenant_id}, and this session works for tenant {session_tenant_id}",
            "Open a session of its own tenant for it, or leave tenant_id to the session",
        )


class TenantChanged(SessionError):
    """The tenant of a stored object was changed; rows stay with their tenant.

    Args:
        entity: its class.
        tenant_id: whom it was to be given to.
        session_tenant_id: whose it is.
    """

    def __init__(self, entity: str, tenant_id: object, session_tenant_id: UUID) -> None:
        self.entity, self.tenant_id, self.session_tenant_id = entity, tenant_id, session_tenant_id
        super().__init__(
            f"The tenant of a stored {entity} was changed from {session_tenant_id} to {tenant_id}",
            "Make a new object in a session of the other tenant; a stored row stays with its own",
        )


class NoTransaction(SessionError):
    """The connection commits each statement by itself, so that a tenant would hold for no statement at all."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(
            f"A {session} needs transactions, and its connection is in AUTOCOMMIT",
            "Take an engine and execution options without isolation_level='AUTOCOMMIT'",
        )


class RoleNotTaken(SessionError):
    """The login may not act as the role that the session wants.

    Args:
        role: the role.
        user: the login.
        reason: what the server said.
        exists: whether the server knows the role.
    """

    def __init__(self, role: str, user: str, reason: str, *, exists: bool) -> None:
        self.role, self.user, self.reason, self.exists = role, user, reason, exists
        super().__init__(
            f"The login {user!r} cannot act as {role!r}: {reason}",
            f'Have an administrator run: GRANT "{role}" TO "{user}"'
            if exists
            else "Bring the database to the head with 'dbschema upgrade', which makes the roles of this library",
        )


class TransactionControl(SessionError):
    """A statement in text would end the transaction, or change role, tenant or user, behind the session's back.

    Args:
        statement: its beginning.
    """

    def __init__(self, statement: str) -> None:
        self.statement = statement
        super().__init__(
            f"The statement {statement!r} would end the transaction or change its role, its tenant or its user",
            "Use commit(), rollback() and begin_nested() of the session, or open another session",
        )


class NoReason(SessionError):
    """Work across tenants was asked for without a reason."""

    def __init__(self) -> None:
        super().__init__(
            "A session across tenants needs a reason, which is logged",
            "Give it in words, such as reason='ticket 4711: restore order 12 of tenant …'",
        )


class OperatorRole(SessionError):
    """A session of one tenant was to take the operators' role, which sees all tenants, without a reason or a log."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(
            f"A session of one tenant does not take the role {role!r}, to which row security shows all tenants",
            "Use operator_session(engine, reason='…'), which logs its use, or leave the role out",
        )


def _shown(given: object) -> str:
    shown = repr(given)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
