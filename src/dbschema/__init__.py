"""dbschema owns the PostgreSQL schema of multi-tenant applications: models, revisions, row security, safe runs.

The public names are here and in `dbschema.models`. They are imported when they are first used: `import dbschema` alone
costs nothing, reads no environment and opens no socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbschema.base import Base
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
    from dbschema.geography import GeoPoint, geography_point
    from dbschema.lifecycle import (
        Removed,
        create_tenant,
        export_tenant,
        import_tenant,
        list_tenants,
        remove_tenant,
    )
    from dbschema.mixins import (
        AppendOnly,
        Audited,
        Created,
        TenantScoped,
        Timestamped,
        Versioned,
        foreign_key,
    )
    from dbschema.types import checked_text, json_array, json_object, uuid7

_HOMES = {
    "Base": "base",
    "DbSchemaError": "errors",
    "GeoPoint": "geography",
    "geography_point": "geography",
    **dict.fromkeys(
        ("AppendOnly", "Audited", "Created", "TenantScoped", "Timestamped", "Versioned", "foreign_key"),
        "mixins",
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
        "lifecycle",
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
    **dict.fromkeys(("checked_text", "json_array", "json_object", "uuid7"), "types"),
}

__all__ = [
    "AppendOnly",
    "Argument",
    "Audited",
    "Base",
    "Created",
    "DbSchemaError",
    "Extension",
    "Function",
    "GeoPoint",
    "Grant",
    "Policy",
    "Removed",
    "Role",
    "RowSecurity",
    "TenantScoped",
    "Timestamped",
    "Trigger",
    "Versioned",
    "checked_text",
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
    "remove_tenant",
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
