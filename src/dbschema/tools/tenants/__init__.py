"""Create a tenant with its reference data, export it to files, import it from them, and remove it entirely."""

from __future__ import annotations

from dbschema._progress import Progress
from dbschema.tools.tenants.errors import TenantsError
from dbschema.tools.tenants.exporting import export_tenant
from dbschema.tools.tenants.folder import Manifest, TableEntry
from dbschema.tools.tenants.importing import import_tenant
from dbschema.tools.tenants.records import count_rows, create_tenant, find_tenant, list_tenants
from dbschema.tools.tenants.removal import Removed, remove_tenant

__all__ = [
    "Manifest",
    "Progress",
    "Removed",
    "TableEntry",
    "TenantsError",
    "count_rows",
    "create_tenant",
    "export_tenant",
    "find_tenant",
    "import_tenant",
    "list_tenants",
    "remove_tenant",
]
