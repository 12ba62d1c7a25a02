"""Own the PostgreSQL schema of multi-tenant applications: models, revisions, row-level security (RLS), safe runs.

The public names are here and in `dbschema.models`. Each name is imported on first use: `import dbschema` alone is fast,
reads no environment and opens no socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.ddl import (
        Argument,
        Extension,
        Function,
        Grant,
        Policy,
        Role,
        RowSecurity,
        Trigger,
        declare,
        declared,
    )
    from dbschema.errors import DbSchemaError
    from dbschema.loading import Loaded, async_bulk_load, bulk_load
    from dbschema.orm.base import Base
    from dbschema.orm.geography import GeoPoint, geography_point
    from dbschema.orm.mixins import (
        AppendOnly,
        Audited,
        Created,
        TenantRoot,
        TenantScoped,
        Timestamped,
        Versioned,
        foreign_key,
    )
    from dbschema.orm.types import checked, checked_text, json_array, json_object, uuid7
    from dbschema.sessions import (
        AsyncOperatorSession,
        AsyncTenantSession,
        OperatorSession,
        TenantSession,
        async_operator_session,
        async_tenant_session,
        create_async_engine,
        create_engine,
        operator_session,
        tenant_session,
    )
    from dbschema.tools.tenants import (
        Removed,
        create_tenant,
        export_tenant,
        import_tenant,
        list_tenants,
        remove_tenant,
    )

_HOMES = {
    "Base": "orm.base",
    "DbSchemaError": "errors",
    "GeoPoint": "orm.geography",
    "geography_point": "orm.geography",
    **dict.fromkeys(("Loaded", "async_bulk_load", "bulk_load"), "loading"),
    **dict.fromkeys(
        (
            "AppendOnly",
            "Audited",
            "Created",
            "TenantRoot",
            "TenantScoped",
            "Timestamped",
            "Versioned",
            "foreign_key",
        ),
        "orm.mixins",
    ),
    **dict.fromkeys(
        (
            "Removed",
            "create_tenant",
            "export_tenant",
            "import_tenant",
            "list_tenants",
            "remove_tenant",
        ),
        "tools.tenants",
    ),
    **dict.fromkeys(
        (
            "Argument",
            "Extension",
            "Function",
            "Grant",
            "Policy",
            "Role",
            "RowSecurity",
            "Trigger",
            "declare",
            "declared",
        ),
        "ddl",
    ),
    **dict.fromkeys(
        (
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
        ),
        "sessions",
    ),
    **dict.fromkeys(("checked", "checked_text", "json_array", "json_object", "uuid7"), "orm.types"),
}

__all__ = [
    "AppendOnly",
    "Argument",
    "AsyncOperatorSession",
    "AsyncTenantSession",
    "Audited",
    "Base",
    "Created",
    "DbSchemaError",
    "Extension",
    "Function",
    "GeoPoint",
    "Grant",
    "Loaded",
    "OperatorSession",
    "Policy",
    "Removed",
    "Role",
    "RowSecurity",
    "TenantRoot",
    "TenantScoped",
    "TenantSession",
    "Timestamped",
    "Trigger",
    "Versioned",
    "async_bulk_load",
    "async_operator_session",
    "async_tenant_session",
    "bulk_load",
    "checked",
    "checked_text",
    "create_async_engine",
    "create_engine",
    "create_tenant",
    "declare",
    "declared",
    "export_tenant",
    "foreign_key",
    "geography_point",
    "import_tenant",
    "json_array",
    "json_object",
    "list_tenants",
    "operator_session",
    "remove_tenant",
    "tenant_session",
    "uuid7",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dbschema' has no attribute {name!r}")
    value: object = getattr(import_module(f"dbschema.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
