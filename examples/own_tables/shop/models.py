"""Invoices for the orders of dbschema, and their lines."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbschema import Base, TenantScoped, Timestamped, Versioned, checked_text, foreign_key
from dbschema.models import Order
from dbschema.orm.relations import belongs_to, owns

metadata = Base.metadata


class InvoiceStatus(StrEnum):
    """The progress of an invoice."""

    DRAFT = "draft"
    SENT = "sent"
    PAID = "paid"


class Invoice(Versioned, TenantScoped, Timestamped, Base):
    """The bill for an order."""

    __tablename__ = "invoices"
    __table_args__ = (
        foreign_key("order_id", "orders", cascade=True),
        UniqueConstraint("tenant_id", "invoice_number"),
        Index("idx_invoices_order", "tenant_id", "order_id"),
        {"comment": "What customers owe for orders"},
    )

    order_id: Mapped[UUID] = mapped_column(comment="The order it is for")
    invoice_number: Mapped[str] = mapped_column(comment="Number on the paper, unique within the tenant")
    status: Mapped[InvoiceStatus] = checked_text(
        InvoiceStatus, default=InvoiceStatus.DRAFT, comment="How far it is"
    )
    due_on: Mapped[date | None] = mapped_column(comment="When it has to be paid")

    order: Mapped[Order] = belongs_to("Invoice", "order_id", "Order")
    lines: Mapped[list["InvoiceLine"]] = owns(
        "Invoice", "InvoiceLine", "invoice_id", back_populates="invoice", order_by="InvoiceLine.position"
    )


class InvoiceLine(TenantScoped, Timestamped, Base):
    """One position of an invoice."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        foreign_key("invoice_id", "invoices", cascade=True),
        UniqueConstraint("tenant_id", "invoice_id", "position"),
        CheckConstraint("amount >= 0", name="amount"),
        {"comment": "Positions of invoices"},
    )

    invoice_id: Mapped[UUID] = mapped_column(comment="The invoice it is on")
    position: Mapped[int] = mapped_column(comment="1 for the first line")
    description: Mapped[str] = mapped_column(comment="What was delivered")
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2), comment="In the currency of the order")

    invoice: Mapped[Invoice] = belongs_to("InvoiceLine", "invoice_id", "Invoice", back_populates="lines")
