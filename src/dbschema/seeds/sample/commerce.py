"""The sample's orders with their shipments, and its marketing campaigns."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dbschema.models import CampaignStatus, FulfillmentStatus, OrderStatus
from dbschema.seeds.sample.repeatable import LAST_DAY, Draws, at, on

if TYPE_CHECKING:
    from datetime import datetime

    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows

ORDERS = 60
CENT = Decimal("0.01")


def rows(company: Company) -> Rows:
    """Return orders of ninety days with a status that fits their age, their shipments, and campaigns."""
    orders: list[Row] = []
    shipments: list[Row] = []
    for number in range(ORDERS):
        order, parts = _order(company, number)
        orders.append(order)
        shipments += parts
    return {
        "orders": orders,
        "fulfillment": shipments,
        "marketing_campaigns": [_campaign(company, campaign) for campaign in company.content["campaigns"]],
    }


def _order(company: Company, number: int) -> tuple[Row, list[Row]]:
    draws = Draws(company.slug, "orders", str(number))
    order_number = f"{company.currency[:2]}-2026-{number + 1:05}"
    ordered = at(LAST_DAY * number / (ORDERS - 1), -draws.number(0, 600))
    age = (at(LAST_DAY) - ordered) / timedelta(days=1)
    status = _status(draws, age)
    total = sum(
        (
            Decimal(draws.one_of(company.content["products"])["price"]) * draws.number(1, 3)
            for _ in range(draws.number(1, 3))
        ),
        start=Decimal(0),
    )
    key = company.key("orders", order_number)
    parts = [
        _shipment(
            company, draws, key["id"], f"{order_number}/{part + 1}", order_status=status, ordered=ordered
        )
        for part in range(_parts(draws, status))
    ]
    order = {
        **key,
        "order_number": order_number,
        "customer_email": f"customer-{draws.number(1, 24):02}.{company.slug}@example.com",
        "status": status,
        "total_amount": total,
        "currency": company.currency,
        "ordered_at": ordered,
        "created_at": ordered,
        "updated_at": max([ordered, *[part["updated_at"] for part in parts]]),
    }
    return order, parts


def _status(draws: Draws, age: float) -> OrderStatus:
    if age < 1:
        return OrderStatus.PENDING
    if age < 4:
        return OrderStatus.PAID
    if age < 8:
        return OrderStatus.SHIPPED
    return draws.one_of([*[OrderStatus.DELIVERED] * 9, OrderStatus.REFUNDED, OrderStatus.CANCELLED])


def _parts(draws: Draws, status: OrderStatus) -> int:
    """Return the number of shipments of an order."""
    if status in {OrderStatus.PENDING, OrderStatus.CANCELLED}:
        return 0
    return 2 if status is OrderStatus.DELIVERED and draws.share() < 0.15 else 1


def _shipment(
    company: Company, draws: Draws, order_id: Any, name: str, *, order_status: OrderStatus, ordered: datetime
) -> Row:
    packed = ordered + timedelta(hours=draws.number(2, 20))
    shipped = packed + timedelta(hours=draws.number(4, 40))
    delivered = shipped + timedelta(hours=draws.number(18, 90))
    status = {
        OrderStatus.PAID: FulfillmentStatus.PROCESSING,
        OrderStatus.SHIPPED: FulfillmentStatus.SHIPPED,
        OrderStatus.DELIVERED: FulfillmentStatus.DELIVERED,
        OrderStatus.REFUNDED: FulfillmentStatus.RETURNED,
    }[order_status]
    has_left = status is not FulfillmentStatus.PROCESSING
    has_arrived = status in {FulfillmentStatus.DELIVERED, FulfillmentStatus.RETURNED}
    updated = {
        FulfillmentStatus.PROCESSING: packed,
        FulfillmentStatus.SHIPPED: shipped,
        FulfillmentStatus.DELIVERED: delivered,
        FulfillmentStatus.RETURNED: delivered + timedelta(days=3),
    }[status]
    return {
        **company.key("fulfillment", name),
        "order_id": order_id,
        "status": status,
        "carrier": draws.one_of(company.content["carriers"]) if has_left else None,
        "tracking_number": f"TRK{draws.number(10**9, 10**10 - 1)}" if has_left else None,
        "warehouse": draws.one_of(company.warehouses).name,
        "shipped_at": shipped if has_left else None,
        "delivered_at": delivered if has_arrived else None,
        "created_at": ordered + timedelta(minutes=5),
        "updated_at": updated,
    }


def _campaign(company: Company, campaign: dict[str, Any]) -> Row:
    draws = Draws(company.slug, "campaigns", campaign["name"])
    status = CampaignStatus(campaign["status"])
    first, last = campaign["first_day"], campaign["last_day"]
    share = Decimal(min(max(LAST_DAY - first, 0), last - first)) / Decimal(last - first)
    budget = Decimal(campaign["budget"])
    spend = (budget * share * Decimal(draws.number(88, 99)) / 100).quantize(CENT)
    impressions = int(spend * draws.number(60, 140))
    clicks = impressions * draws.number(8, 45) // 1000
    conversions = clicks * draws.number(15, 60) // 1000
    planned = at(max(first - 14, 0))
    return {
        **company.key("marketing_campaigns", campaign["name"]),
        "campaign_name": campaign["name"],
        "channel": campaign["channel"],
        "status": status,
        "budget": budget,
        "spend": spend,
        "impressions": impressions,
        "clicks": clicks,
        "conversions": conversions,
        "revenue": conversions * Decimal(draws.number(2800, 7900)) / 100,
        "currency": company.currency,
        "starts_on": on(first),
        "ends_on": on(last),
        "created_at": min(planned, at(LAST_DAY - 5)),
        "updated_at": at(min(last, LAST_DAY))
        if status is not CampaignStatus.DRAFT
        else min(planned, at(LAST_DAY - 5)),
    }
