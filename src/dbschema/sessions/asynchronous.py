"""The sessions for asyncio: SQLAlchemy runs the synchronous sessions in a greenlet."""

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
    """`TenantSession` for asyncio, with the options of `sqlalchemy.ext.asyncio.AsyncSession`. See `tenant_session`."""

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
        """The tenant of the session; it never changes."""
        return cast("TenantSession", self.sync_session).tenant_id

    @property
    def role(self) -> str:
        """The role of each transaction."""
        return cast("TenantSession", self.sync_session).role

    @property
    def user_id(self) -> UUID | None:
        """The acting user, for the audit log; None: not set."""
        return cast("TenantSession", self.sync_session).user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """The address that the request came from, for the audit log; None: not set."""
        return cast("TenantSession", self.sync_session).ip_address


class AsyncOperatorSession(AsyncSession):
    """`OperatorSession` for asyncio, with the options of `sqlalchemy.ext.asyncio.AsyncSession`."""

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
        """The reason for the session, on one line."""
        return cast("OperatorSession", self.sync_session).reason

    @property
    def user_id(self) -> UUID | None:
        """The acting user, for the audit log; None: not set."""
        return cast("OperatorSession", self.sync_session).user_id

    @property
    def ip_address(self) -> IPv4Address | IPv6Address | None:
        """The address that the request came from, for the audit log; None: not set."""
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
    """Open a session of one tenant, for an `async with` block. See `tenant_session`.

    By default objects do not expire on commit: reading an expired attribute would need an `await`.
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
    """Open a session across tenants, for an `async with` block. See `OperatorSession`.

    By default objects do not expire on commit, as in `async_tenant_session`.
    """
    options.setdefault("expire_on_commit", False)
    return AsyncOperatorSession(engine, reason=reason, user_id=user_id, ip_address=ip_address, **options)
