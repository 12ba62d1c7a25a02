"""Which metrics each role sees when a tenant begins; the tenant changes it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.models import UserRole
from dbschema.seeds.identifiers import row_id

if TYPE_CHECKING:
    from uuid import UUID

    from dbschema.seeds.writing import Row

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


def rows(tenant: UUID) -> list[Row]:
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
