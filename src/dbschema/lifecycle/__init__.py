"""The life of a tenant: created with its reference data, exported to files, imported from them, removed entirely."""

from __future__ import annotations

from dbschema._progress import Progress
from dbschema.lifecycle.counting import count_rows
from dbschema.lifecycle.creation import create_tenant
from dbschema.lifecycle.errors import LifecycleError
from dbschema.lifecycle.exporting import export_tenant
from dbschema.lifecycle.importing import import_tenant
from dbschema.lifecycle.listing import find_tenant, list_tenants
from dbschema.lifecycle.manifest import Manifest, TableEntry
from dbschema.lifecycle.removal import Removed, remove_tenant

__all__ = [
    "LifecycleError",
    "Manifest",
    "Progress",
    "Removed",
    "TableEntry",
    "count_rows",
    "create_tenant",
    "export_tenant",
    "find_tenant",
    "import_tenant",
    "list_tenants",
    "remove_tenant",
]
