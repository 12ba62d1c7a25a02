"""The mixins work for the shop's tables: tests of an application, with dbschema's fixtures."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

import pytest
from shop.models import Invoice, InvoiceLine, InvoiceStatus
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from dbschema.models import Order
from dbschema.sessions import TenantSession
from dbschema.testing import Factory
from dbschema.testing.tests import *  # noqa: F403  one head a folder, models equal database, revisions up and down


@pytest.mark.parametrize("model", [Invoice, InvoiceLine])
def test_the_tables_of_the_shop_keep_tenants_apart(
    assert_isolated: Callable[..., None], model: type[Invoice | InvoiceLine]
) -> None:
    assert_isolated(model)


def test_an_invoice_is_written_with_its_lines(db_session: TenantSession, db_factory: Factory) -> None:
    order = db_factory.make(Order)

    invoice = Invoice(order=order, invoice_number="2026-1")
    invoice.lines = [InvoiceLine(position=1, description="Bell", amount=3)]
    db_session.add(invoice)
    db_session.commit()

    found = db_session.scalars(select(Invoice).options(selectinload(Invoice.lines))).one()
    assert (found.status, found.version) == (InvoiceStatus.DRAFT, 1)
    assert [line.description for line in found.lines] == ["Bell"]


def test_a_change_raises_the_version_and_the_time(db_session: TenantSession, db_factory: Factory) -> None:
    invoice = db_factory.make(Invoice)
    before = invoice.updated_at

    invoice.status = InvoiceStatus.SENT
    db_session.flush()

    assert invoice.version == 2
    assert invoice.updated_at >= before


def test_a_line_without_an_amount_that_makes_sense_is_refused(
    db_session: TenantSession, db_factory: Factory
) -> None:
    with pytest.raises(IntegrityError, match="ck_invoice_lines_amount"), db_session.begin_nested():
        db_factory.make(InvoiceLine, amount=-1)


def test_another_tenant_sees_no_invoice(
    db_factory: Factory,
    db_session: TenantSession,
    db_other_tenant: UUID,
    db_as_tenant: Callable[[UUID], AbstractContextManager[TenantSession]],
) -> None:
    db_factory.make(Invoice)

    with db_as_tenant(db_other_tenant) as other:
        assert other.scalars(select(Invoice)).all() == []

    assert len(db_session.scalars(select(Invoice)).all()) == 1


def test_the_invoices_of_an_order_are_found_by_their_index(
    db_factory: Factory, assert_uses_index: Callable[..., None]
) -> None:
    order = db_factory.make(Order)

    assert_uses_index(select(Invoice).where(Invoice.order_id == order.id), "idx_invoices_order")
