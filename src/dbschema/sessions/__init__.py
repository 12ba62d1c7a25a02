"""Sessions for applications: tenant sessions, restricted to one tenant, and operator sessions, which are logged."""

from __future__ import annotations

from dbschema.sessions.asynchronous import (
    AsyncOperatorSession,
    AsyncTenantSession,
    async_operator_session,
    async_tenant_session,
)
from dbschema.sessions.engines import create_async_engine, create_engine
from dbschema.sessions.operators import OperatorSession, operator_session
from dbschema.sessions.session import TenantSession, tenant_session

__all__ = [
    "AsyncOperatorSession",
    "AsyncTenantSession",
    "OperatorSession",
    "TenantSession",
    "async_operator_session",
    "async_tenant_session",
    "create_async_engine",
    "create_engine",
    "operator_session",
    "tenant_session",
]
