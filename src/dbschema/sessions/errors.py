"""Errors of sessions: classes that applications distinguish, and functions that make the other errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.errors import NoTransaction, SessionError

if TYPE_CHECKING:
    from uuid import UUID


class BadIdentity(SessionError):
    """The id of a tenant, the id of a user or the address of a request is not valid.

    Changed: nothing.
    Fix: check the token or the request that the value comes from; leave out a user or an address that is not known.

    Args:
        value: the rejected value; the message shows its first characters.
        kind: the expected kind of value, as in 'the id of a tenant'.
        next_step: the valid forms; without a full stop at the end.
    """

    code = "bad-identity"

    def __init__(self, value: object, kind: str, next_step: str) -> None:
        self.value, self.kind = value, kind
        super().__init__(f"{_shown(value)} is not {kind}", next_step)


_UUID_STEP = "Give a UUID, or its text as in '0192d4e0-7b1a-7000-8000-000000000000'"


def not_a_tenant(value: object) -> BadIdentity:
    """The value is not the id of a tenant."""
    return BadIdentity(value, "the id of a tenant", _UUID_STEP)


def not_a_user(value: object) -> BadIdentity:
    """The value is not the id of a user."""
    return BadIdentity(value, "the id of a user", _UUID_STEP)


def not_an_address(value: object) -> BadIdentity:
    """The value is not an IPv4 or IPv6 address."""
    return BadIdentity(
        value,
        "an IPv4 or IPv6 address",
        "Give one address, as in '192.0.2.7' or '2001:db8::1', without port; leave it out if it is not known",
    )


class ForeignTenant(SessionError):
    """An object or a row of another tenant was passed to a session, or the tenant of a stored object was changed.

    Changed: nothing.
    Fix: open a session of the other tenant, or leave `tenant_id` to the session; a stored row stays with its tenant.

    Args:
        entity: the class of the object.
        tenant_id: the tenant of the object.
        session_tenant_id: the tenant of the session.
        what: the message, if it is not the default one; without a full stop at the end.
        next_step: the next step for that message; without a full stop at the end.
    """

    code = "foreign-tenant"

    def __init__(
        self, entity: str, tenant_id: object, session_tenant_id: UUID, what: str = "", next_step: str = ""
    ) -> None:
        self.entity, self.tenant_id, self.session_tenant_id = entity, tenant_id, session_tenant_id
        super().__init__(
            what
            or f"The {entity} belongs to tenant {tenant_id}, and this session works for tenant {session_tenant_id}",
            next_step
            or "Open a session of its own tenant for it, or leave out tenant_id, which the session sets",
        )


def tenant_changed(entity: str, tenant_id: object, session_tenant_id: UUID) -> ForeignTenant:
    """The tenant of a stored object was changed."""
    return ForeignTenant(
        entity,
        tenant_id,
        session_tenant_id,
        f"The tenant of a stored {entity} was changed from {session_tenant_id} to {tenant_id}",
        "Create a new object in a session of the other tenant; the tenant of a stored row cannot change",
    )


class RoleNotTaken(SessionError):
    """The login cannot act as the role of the session.

    Changed: nothing; the transaction did not begin, and the connection is discarded.
    Fix: run the GRANT that the message names; if the role does not exist, run `dbschema upgrade`.

    Args:
        role: the role.
        user: the login.
        reason: the message of the server.
        exists: whether the role exists.
    """

    code = "role-not-taken"

    def __init__(self, role: str, user: str, reason: str, *, exists: bool) -> None:
        self.role, self.user, self.reason, self.exists = role, user, reason, exists
        super().__init__(
            f"The login {user!r} cannot act as {role!r}: {reason}",
            f'Have an administrator run: GRANT "{role}" TO "{user}"'
            if exists
            else "Run 'dbschema upgrade', which creates the roles of this library",
        )


class TransactionControl(SessionError):
    """A textual statement would end the transaction, or change the role, tenant or user of the session.

    Changed: nothing; the statement was not sent.
    Fix: call `commit()`, `rollback()` or `begin_nested()` of the session, or open another session.

    Args:
        statement: the beginning of the statement.
    """

    code = "transaction-control"

    def __init__(self, statement: str) -> None:
        self.statement = statement
        super().__init__(
            f"The statement {statement!r} would end the transaction or change its role, its tenant or its user",
            "Use commit(), rollback() and begin_nested() of the session, or open another session",
        )


def no_transaction(session: str) -> NoTransaction:
    """The connection of a session is in autocommit mode, where SET LOCAL has no effect."""
    return NoTransaction(
        f"A {session} needs transactions, and its connection is in AUTOCOMMIT",
        "Use an engine and execution options without isolation_level='AUTOCOMMIT'",
    )


def no_reason() -> SessionError:
    """A session across tenants was opened without a reason."""
    return SessionError(
        "A session across tenants needs a reason, which is logged",
        "Give it in words, such as reason='ticket 4711: restore order 12 of tenant …'",
    )


def operator_role(role: str) -> SessionError:
    """A session of one tenant asked for the role of the operators, which sees all tenants."""
    return SessionError(
        f"A session of one tenant does not take the role {role!r}, which sees the rows of all tenants",
        "Use operator_session(engine, reason='…'), which logs its use, or leave out the role",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
