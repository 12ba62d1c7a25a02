"""The same sessions under asyncio: SQLAlchemy runs the synchronous ones, which do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from dbschema.ddl.tenancy import APP_ROLE
from dbschema.sessions.operators import OperatorSession
from dbschema.sessions.session import TenantSession

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID


class AsyncTenantSession(AsyncSession):
    """`TenantSession` for asyncio.

    Args:
        bind: the engine, or for tests a connection.
        tenant_id: the tenant.
        role: the group role that the login takes.
        user_id: who acts, for the audit log; None: nothing is said.
        ip_address: where the request came from, likewise.
        options: of `sqlalchemy.ext.asyncio.AsyncSession`.

    Raises:
        BadIdentity: `tenant_id` or `user_id` is no UUID, or `ip_address` is no address.
        SessionError: `role` is the operators'.
    """

    sync_session_class = TenantSession

    def __init__(
        self,
        bind: AsyncEngine | AsyncConnection | None = None,
        *,
        tenant_id: UUID | str,
        role: str = APP_ROLE.name,
        user_id: UUID | str | None = None,
        ip_address: IPv4Address | IPv6Address | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            bind, tenant_id=tenant_id, role=role, user_id=user_id, ip_address=ip_address, **options
        )

    @property
    def tenant_id(self) -> UUID:
        """The tenant; it stays the same for the session's life."""
        return cast("TenantSession", self.sync_session).tenant_id

    @property
    def role(self) -> str:
        """The role that each transaction takes."""
        return cast("TenantSession", self.sync_session).role

    @property
    def user_id(self) -> UUID | None:
        """Who acts, as the audit log is told; None: nothing is said."""
        return cast("TenantSession", self.sync_session).user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """Where the request came from, as the audit log is told; None: nothing is said."""
        return cast("TenantSession", self.sync_session).ip_address


class AsyncOperatorSession(AsyncSession):
    """`OperatorSession` for asyncio.

    Args:
        bind: the engine.
        reason: why; it is logged.
        user_id: who acts, for the audit log; None: nothing is said.
        ip_address: where the request came from, likewise.
        options: of `sqlalchemy.ext.asyncio.AsyncSession`.

    Raises:
        SessionError: `reason` is empty.
        BadIdentity: `user_id` is no UUID, or `ip_address` is no address.
    """

    sync_session_class = OperatorSession

    def __init__(
        self,
        bind: AsyncEngine | AsyncConnection | None = None,
        *,
        reason: str,
        user_id: UUID | str | None = None,
        ip_address: IPv4Address | IPv6Address | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(bind, reason=reason, user_id=user_id, ip_address=ip_address, **options)

    @property
    def reason(self) -> str:
        """Why this session was opened, on one line."""
        return cast("OperatorSession", self.sync_session).reason

    @property
    def user_id(self) -> UUID | None:
        """Who acts, as the audit log is told; None: nothing is said."""
        return cast("OperatorSession", self.sync_session).user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """Where the request came from, as the audit log is told; None: nothing is said."""
        return cast("OperatorSession", self.sync_session).ip_address


def async_tenant_session(
    engine: AsyncEngine | AsyncConnection,
    tenant_id: UUID | str,
    *,
    role: str = APP_ROLE.name,
    user_id: UUID | str | None = None,
    ip_address: IPv4Address | IPv6Address | str | None = None,
    **options: Any,
) -> AsyncTenantSession:
    """A session of one tenant, for an `async with` block; see `tenant_session`.

    Objects do not expire on commit, unless told: reading an expired attribute would need an `await`.
    """
    options.setdefault("expire_on_commit", False)
    return AsyncTenantSession(
        engine, tenant_id=tenant_id, role=role, user_id=user_id, ip_address=ip_address, **options
    )


def async_operator_session(
    engine: AsyncEngine | AsyncConnection,
    *,
    reason: str,
    user_id: UUID | str | None = None,
    ip_address: IPv4Address | IPv6Address | str | None = None,
    **options: Any,
) -> AsyncOperatorSession:
    """A session across tenants, for an `async with` block; see `operator_session`."""
    options.setdefault("expire_on_commit", False)
    return AsyncOperatorSession(engine, reason=reason, user_id=user_id, ip_address=ip_address, **options)
