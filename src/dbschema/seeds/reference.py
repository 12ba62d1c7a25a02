"""Which metrics each role sees when a tenant begins; the tenant changes it afterwards.

Reference data: what a tenant needs before anybody works with it, in production too.

Of each tenant: which metrics the roles see, the built-in agents, and a domain configuration in which they work.

A row that is there stays as it is, even where this package would now write another value: which metrics are shown and
how an agent is prompted belongs to the tenant from the first day on. A new value that shall reach tenants who are there
already is a data revision, which says so in its name and in its version.
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
"""Each of these roles has a row for every metric, visible or hidden, so that a dashboard never has to guess."""


def visibility_rows(tenant: UUID) -> list[Row]:
    """The rows of `role_metric_visibility` for a tenant: 4 roles times 15 metrics."""
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
    """Give tenants their reference data, all or nothing; what is there stays as it is.

    In a transaction that the caller has begun, it is a savepoint of that one, and the caller commits.

    Args:
        connection: of a superuser, the tables' owner, or a member of the application's role.
        tenant_ids: whom to give it to. None: every tenant. A session that is bound by row security cannot list the
            tenants; it then serves the tenant that it has set, and the sample tenants that exist.

    Returns:
        How many rows were written, by table; 0 for a table where nothing was missing.

    Raises:
        NoSuchTenant: one of the ids names none.
        TenantsHidden: there may be tenants, and none of them can be seen.
        NoTransaction, NotMigrated, MissingPrivilege: the tables are not there, or may not be written.
        SeedError: rows that are there contradict the data.
    """
    with all_or_nothing(connection):
        if tenant_ids is None:
            tenant_ids = _tenants(connection)
        return totals(*[_write_for(connection, tenant) for tenant in tenant_ids])


def reference_for(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    """`apply` for one tenant, such as one that was just created."""
    return apply(connection, [tenant_id])


def rows_for(tenant: UUID, at: datetime | None = None) -> Rows:
    """The reference data of a tenant, by table; `at`: when it says that it was written, None for the database's now."""
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
        bound = connection.scalar(text("SELECT row_security_active('tenants')"))
        if not bound:
            return list(connection.scalars(select(tenants.c.id).order_by(tenants.c.id)))
        # Never written to, the file of the table is empty; that is all that a bound session can know of other tenants.
        if not connection.scalar(text("SELECT pg_relation_size('tenants')")):
            return []
        found = list(connection.scalars(select(tenants.c.id)))
        for slug in SAMPLE_SLUGS:
            tenant = sample_tenant_id(slug)
            with acting_for(connection, tenant):
                if exists(connection, tenant) and tenant not in found:
                    found.append(tenant)
        if not found:
            raise tenants_hidden(str(connection.scalar(select(func.current_user()))))
    return found
