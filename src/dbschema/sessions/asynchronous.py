"""The same sessions under asyncio: SQLAlchemy runs the synchronous ones, which do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from dbschema.ddl.tenancy import APP_ROLE
from dbschema.sessions.operators import OperatorSession
from dbschema.sessions.session import TenantSession

if TYPE_CHECKING:
    from uuid import UUID


class AsyncTenantSession(AsyncSession):
    """`TenantSession` for asyncio.

    Args:
        bind: the engine, or for tests a connection.
        tenant_id: the tenant.
        role: the group role that the login takes.
        options: of `sqlalchemy.ext.asyncio.AsyncSession`.

    Raises:
        NotATenant: `tenant_id` is no UUID.
        OperatorRole: `role` is the operators'.
    """

    sync_session_class = TenantSession

    def __init__(
        self,
        bind: AsyncEngine | AsyncConnection | None = None,
        *,
        tenant_id: UUID | str,
        role: str = APP_ROLE.name,
        **options: Any,
    ) -> None:
        super().__init__(bind, tenant_id=tenant_id, role=role, **options)

    @property
    def tenant_id(self) -> UUID:
        """The tenant; it stays the same for the session's life."""
        return cast("TenantSession", self.sync_session).tenant_id

    @property
    def role(self) -> str:
        """The role that each transaction takes."""
        return cast("TenantSession", self.sync_session).role


class AsyncOperatorSession(AsyncSession):
    """`OperatorSession` for asyncio.

    Args:
        bind: the engine.
        reason: why; it is logged.
        options: of `sqlalchemy.ext.asyncio.AsyncSession`.

    Raises:
        NoReason: `reason` is empty.
    """

    sync_session_class = OperatorSession

    def __init__(
        self, bind: AsyncEngine | AsyncConnection | None = None, *, reason: str, **options: Any
    ) -> None:
        super().__init__(bind, reason=reason, **options)

    @property
    def reason(self) -> str:
        """Why this session was opened, on one line."""
        return cast("OperatorSession", self.sync_session).reason


def async_tenant_session(
    engine: AsyncEngine | AsyncConnection, tenant_id: UUID | str, *, role: str = APP_ROLE.name, **options: Any
) -> AsyncTenantSession:
    """A session of one tenant, for an `async with` block; see `tenant_session`.

    Objects do not expire on commit, unless told: reading an expired attribute would need an `await`.
    """
    options.setdefault("expire_on_commit", False)
    return AsyncTenantSession(engine, tenant_id=tenant_id, role=role, **options)


def async_operator_session(
    engine: AsyncEngine | AsyncConnection, *, reason: str, **options: Any
) -> AsyncOperatorSession:
    """A session across tenants, for an `async with` block; see `operator_session`."""
    options.setdefault("expire_on_commit", False)
    return AsyncOperatorSession(engine, reason=reason, **options)
