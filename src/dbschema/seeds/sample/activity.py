"""The sample's user events, transactions and projects."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dbschema.models import ProjectStatus, TransactionStatus, TransactionType
from dbschema.seeds.sample.repeatable import LAST_DAY, Draws, at

if TYPE_CHECKING:
    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows

EVENTS = 48
TRANSACTIONS = 18
PAGES = ("/orders", "/map", "/campaigns", "/conversations", "/settings/visibility")
FEE = Decimal("49.00")


def rows(company: Company) -> Rows:
    """Return events and transactions of the active users, and projects."""
    people = [person.username for person in company.people if person.is_active]
    return {
        "user_events": [_event(company, people, number) for number in range(EVENTS)],
        "user_transactions": [_transaction(company, people, number) for number in range(TRANSACTIONS)],
        "projects": [
            {
                **company.key("projects", project["name"]),
                "user_id": company.user(project["by"]),
                "project_name": project["name"],
                "status": ProjectStatus(project["status"]),
                "s3_uri": f"s3://sample-projects.example/{company.slug}/{number + 1}/",
                "metadata": {"files": 3 + 4 * number},
                "created_at": at(12 + number),
                "updated_at": at(12 + number if project["status"] == "active" else 60),
            }
            for number, project in enumerate(company.content["projects"])
        ],
    }


def _event(company: Company, people: list[str], number: int) -> Row:
    draws = Draws(company.slug, "events", str(number))
    event_type, properties = draws.one_of(
        [
            ("session.start", {"device": draws.one_of(["phone", "desktop"])}),
            ("page.view", {"path": draws.one_of(PAGES)}),
            ("page.view", {"path": draws.one_of(PAGES)}),
            ("report.export", {"format": draws.one_of(["csv", "pdf"])}),
        ]
    )
    occurred = at(LAST_DAY * number / EVENTS, draws.number(0, 500))
    return {
        **company.key("user_events", str(number)),
        "user_id": company.user(draws.one_of(people)),
        "event_type": event_type,
        "properties": properties,
        "occurred_at": occurred,
        "created_at": occurred,
    }


def _transaction(company: Company, people: list[str], number: int) -> Row:
    draws = Draws(company.slug, "transactions", str(number))
    kind, status, amount = draws.one_of(
        [
            *[(TransactionType.PAYMENT, TransactionStatus.SUCCEEDED, FEE)] * 6,
            (TransactionType.PAYMENT, TransactionStatus.FAILED, FEE),
            (TransactionType.PAYMENT, TransactionStatus.PENDING, FEE),
            (TransactionType.REFUND, TransactionStatus.SUCCEEDED, -FEE),
            (TransactionType.CREDIT, TransactionStatus.SUCCEEDED, Decimal("-10.00")),
            (TransactionType.ADJUSTMENT, TransactionStatus.CANCELLED, Decimal("-4.50")),
        ]
    )
    day = LAST_DAY * number / TRANSACTIONS
    return {
        **company.key("user_transactions", str(number)),
        "user_id": company.user(people[number % len(people)]),
        "transaction_type": kind,
        "status": status,
        "amount": amount,
        "currency": company.currency,
        "provider": "samplepay",
        "provider_reference": f"sp_{company.slug}_{number + 1:04}",
        "created_at": at(day),
        "updated_at": at(day, 0 if status is TransactionStatus.PENDING else draws.number(1, 30)),
    }
