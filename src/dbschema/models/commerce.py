"""Orders, their shipments, and marketing campaigns."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, desc, func, text
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.models.identity import OfTenant, email
from dbschema.orm.base import Base
from dbschema.orm.mixins import Timestamped, foreign_key
from dbschema.orm.relations import belongs_to, owns
from dbschema.orm.types import Money, checked, checked_text, currency


class OrderStatus(StrEnum):
    """The state of an order."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class FulfillmentStatus(StrEnum):
    """The state of a shipment."""

    PENDING = "pending"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    FAILED = "failed"


class CampaignStatus(StrEnum):
    """The state of a campaign."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


class Order(OfTenant, Timestamped, Base):
    """An order of a customer."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "order_number"),
        checked("total_amount >= 0", name="total_amount", rejects={"total_amount": -1}),
        Index("idx_orders_ordered_at", "tenant_id", desc("ordered_at")),
        Index("idx_orders_status", "tenant_id", "status", desc("ordered_at")),
        {"comment": "What customers bought"},
    )

    order_number: Mapped[str] = mapped_column(
        comment="Number that the customer knows, unique within the tenant"
    )
    customer_email: Mapped[str] = email(comment="Who bought, in lower case")
    status: Mapped[OrderStatus] = checked_text(
        OrderStatus, default=OrderStatus.PENDING, comment="How far it is"
    )
    total_amount: Mapped[Money] = mapped_column(comment="What the customer pays, in the row's currency")
    currency: Mapped[str] = currency()
    ordered_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="When the customer ordered"
    )

    fulfillments: Mapped[list["Fulfillment"]] = owns(
        "Order", "Fulfillment", "order_id", back_populates="order", order_by="Fulfillment.created_at"
    )


class Fulfillment(OfTenant, Timestamped, Base):
    """A shipment of an order or of a part of an order."""

    __tablename__ = "fulfillment"
    __table_args__ = (
        foreign_key("order_id", "orders", cascade=True),
        checked(
            "delivered_at >= shipped_at",
            name="delivered_after_shipped",
            rejects={"shipped_at": "2001-01-02 00:00Z", "delivered_at": "2001-01-01 00:00Z"},
        ),
        Index("idx_fulfillment_order", "tenant_id", "order_id"),
        Index("idx_fulfillment_status", "tenant_id", "status"),
        {"comment": "Shipments of orders"},
    )

    order_id: Mapped[UUID] = mapped_column(comment="The order that is shipped")
    status: Mapped[FulfillmentStatus] = checked_text(
        FulfillmentStatus, default=FulfillmentStatus.PENDING, comment="How far it is"
    )
    carrier: Mapped[str | None] = mapped_column(comment="Who carries it")
    tracking_number: Mapped[str | None] = mapped_column(comment="Number that the carrier knows it by")
    warehouse: Mapped[str | None] = mapped_column(comment="Where it leaves from")
    shipped_at: Mapped[datetime | None] = mapped_column(comment="When it left")
    delivered_at: Mapped[datetime | None] = mapped_column(comment="When it arrived; not before shipped_at")

    order: Mapped[Order] = belongs_to("Fulfillment", "order_id", "Order", back_populates="fulfillments")


class MarketingCampaign(OfTenant, Timestamped, Base):
    """A marketing campaign, with its costs and its results."""

    __tablename__ = "marketing_campaigns"
    __table_args__ = (
        UniqueConstraint("tenant_id", "campaign_name"),
        checked("budget >= 0", name="budget", rejects={"budget": -1}),
        checked("spend >= 0", name="spend", rejects={"spend": -1}),
        checked(
            "impressions >= 0",
            name="impressions",
            rejects={"impressions": -1},
            implied_by="clicks_within_impressions",
        ),
        checked("clicks >= 0", name="clicks", rejects={"clicks": -1}),
        checked(
            "clicks <= impressions", name="clicks_within_impressions", rejects={"clicks": 2, "impressions": 1}
        ),
        checked("conversions >= 0", name="conversions", rejects={"conversions": -1}),
        checked("revenue >= 0", name="revenue", rejects={"revenue": -1}),
        checked(
            "ends_on >= starts_on",
            name="ends_after_starts",
            rejects={"starts_on": "2001-01-02", "ends_on": "2001-01-01"},
        ),
        Index("idx_marketing_campaigns_starts_on", "tenant_id", desc("starts_on")),
        {"comment": "Campaigns: what they cost and what they bring"},
    )

    campaign_name: Mapped[str] = mapped_column(comment="Unique within the tenant")
    channel: Mapped[str] = mapped_column(comment="Where it runs, such as email or search")
    status: Mapped[CampaignStatus] = checked_text(
        CampaignStatus, default=CampaignStatus.DRAFT, comment="Whether it runs"
    )
    budget: Mapped[Money] = mapped_column(server_default=text("0"), comment="What it may cost")
    spend: Mapped[Money] = mapped_column(server_default=text("0"), comment="What it has cost so far")
    impressions: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), comment="How often it was shown"
    )
    clicks: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), comment="How often it was clicked"
    )
    conversions: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0"), comment="How many orders it brought"
    )
    revenue: Mapped[Money] = mapped_column(server_default=text("0"), comment="What these orders were worth")
    currency: Mapped[str] = currency()
    starts_on: Mapped[date | None] = mapped_column(comment="First day")
    ends_on: Mapped[date | None] = mapped_column(comment="Last day; not before starts_on")
