"""Reference data that every tenant needs, in production too: visible metrics, built-in agents and their domain.

A seed never changes an existing row, even if this package now has another value: visibility of metrics and prompts of
agents belong to the tenant from the first day on. To change existing tenants, write a data revision whose name and version
announce the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from dbschema.models import UserRole, metadata
from dbschema.seeds import agents
from dbschema.seeds.errors import no_such_tenant, tenants_hidden, translating
from dbschema.seeds.writing import SAMPLE_SLUGS, acting_for, all_or_nothing, exists, row_id, totals, write
from dbschema.seeds.writing import tenant_id as sample_tenant_id

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Connection

    from dbschema.seeds.writing import Row, Rows


_MONEY = ("revenue", "gross_margin", "average_order_value", "refund_rate", "outstanding_payments")
_GOODS = ("order_count", "fulfillment_time", "on_time_delivery_rate", "return_rate", "open_incidents")
_REACH = ("campaign_spend", "return_on_ad_spend", "click_through_rate", "conversion_rate", "acquisition_cost")
METRICS = (*_MONEY, *_GOODS, *_REACH)

VISIBLE: dict[UserRole, frozenset[str]] = {
    UserRole.FINANCE: frozenset({*_MONEY, "order_count", "campaign_spend", "return_on_ad_spend"}),
    UserRole.OPERATIONS: frozenset({*_GOODS, "refund_rate"}),
    UserRole.MARKETING: frozenset({*_REACH, "revenue", "order_count", "average_order_value"}),
    UserRole.ADMIN: frozenset(METRICS),
}
"""The visible metrics by role. Each of these roles has a row for every metric, visible or hidden."""


def visibility_rows(tenant: UUID) -> list[Row]:
    """Return the rows of `role_metric_visibility` for a tenant: 4 roles times 15 metrics."""
    return [
        {
            "tenant_id": tenant,
            "id": row_id(tenant, "role_metric_visibility", f"{role.value}/{metric}"),
            "role": role,
            "metric_name": metric,
            "is_visible": metric in visible,
        }
        for role, visible in VISIBLE.items()
        for metric in METRICS
    ]


def apply(connection: Connection, tenant_ids: Iterable[UUID] | None = None) -> dict[str, int]:
    """Write the reference data of tenants, all or nothing; existing rows do not change.

    If the caller has begun a transaction, the seed is a savepoint of it, and the caller commits.

    Args:
        connection: connection of a superuser, of the tables' owner, or of a member of the application's role.
        tenant_ids: the tenants. None: all tenants. Row-level security may prevent the session from listing the tenants;
            then None is the tenant of the session and the existing sample tenants.

    Returns:
        The number of written rows by table; 0 for a table without missing rows.

    Raises:
        NoSuchTenant: a tenant with one of the ids does not exist.
        TenantsHidden: tenants may exist, but the session sees none of them.
        NoTransaction: the connection is in autocommit mode.
        NotMigrated, MissingPrivilege: the tables do not exist, or the role may not write to them.
        SeedError: existing rows conflict with the data.
    """
    with all_or_nothing(connection):
        if tenant_ids is None:
            tenant_ids = _tenants(connection)
        return totals(*[_write_for(connection, tenant) for tenant in tenant_ids])


def reference_for(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    """Call `apply` for one tenant, such as a new tenant."""
    return apply(connection, [tenant_id])


def rows_for(tenant: UUID, at: datetime | None = None) -> Rows:
    """Return the reference data of a tenant by table; `at`: the time of creation, None for the time of the database."""
    rows = {
        "role_metric_visibility": visibility_rows(tenant),
        "agent_definitions": agents.agent_rows(tenant),
        "domain_configurations": agents.domain_rows(tenant),
    }
    if at is not None:
        for table in rows.values():
            for row in table:
                row.update(created_at=at, updated_at=at)
    return rows


def _write_for(connection: Connection, tenant: UUID) -> Counter[str]:
    with acting_for(connection, tenant):
        if not exists(connection, tenant):
            raise no_such_tenant(tenant)
        return write(connection, rows_for(tenant))


def _tenants(connection: Connection) -> list[UUID]:
    tenants = metadata.tables["tenants"]
    with translating(tenants.name):
        rls_active = connection.scalar(text("SELECT row_security_active('tenants')"))
        if not rls_active:
            return list(connection.scalars(select(tenants.c.id).order_by(tenants.c.id)))
        # The file of a table without any write is empty; under RLS, this is the only sign that no tenants exist.
        if not connection.scalar(text("SELECT pg_relation_size('tenants')")):
            return []
        tenant_ids = list(connection.scalars(select(tenants.c.id)))
        for slug in SAMPLE_SLUGS:
            tenant = sample_tenant_id(slug)
            with acting_for(connection, tenant):
                if exists(connection, tenant) and tenant not in tenant_ids:
                    tenant_ids.append(tenant)
        if not tenant_ids:
            raise tenants_hidden(str(connection.scalar(select(func.current_user()))))
    return tenant_ids
