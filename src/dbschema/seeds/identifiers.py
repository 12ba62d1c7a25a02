"""Ids that are the same in every database: each row's id follows from its tenant, its table and its name."""

from __future__ import annotations

from uuid import UUID, uuid5

NAMESPACE = UUID("5f0c1a52-6f0e-5a3e-9d55-3a1d2b7c4e90")
"""Root of the ids of sample tenants; changing it would give every sample row another id."""

SAMPLE_SLUGS = ("azulejo-lane", "lantern-and-oar", "tidewater-pantry")


def tenant_id(slug: str) -> UUID:
    """The id of the sample tenant with this slug."""
    return uuid5(NAMESPACE, f"tenants/{slug}")


def row_id(tenant: UUID, table: str, name: str) -> UUID:
    """The id of the row called `name` in `table` of a tenant; `name` is whatever tells it from the table's others."""
    return uuid5(tenant, f"{table}/{name}")
