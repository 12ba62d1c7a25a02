"""The sample's governance rules, and the audit log of its rules, orders, incidents and users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.models import IncidentStatus, OrderStatus, UserRole
from dbschema.seeds.sample.repeatable import LAST_DAY, Draws, at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows

RULES: tuple[tuple[str, str, dict[str, Any], bool], ...] = (
    (
        "Refunds above the limit need two people",
        "approval",
        {"action": "order.refund", "above": 100, "approvals": 2},
        True,
    ),
    ("Audit log kept for seven years", "retention", {"table": "audit_logs", "keep_days": 2557}, True),
    (
        "Addresses hidden from marketing",
        "masking",
        {"columns": ["orders.customer_email"], "roles": ["marketing"]},
        True,
    ),
    (
        "Exports only from the office",
        "access",
        {"action": "report.export", "networks": ["192.0.2.0/24"]},
        False,
    ),
)


def rows(company: Company, others: Mapping[str, Sequence[Row]]) -> Rows:
    """Return the rules, and audit logs of the other rows of the tenant.

    Args:
        company: the tenant.
        others: the rows of the tenant by table; orders, incidents and users are used.
    """
    rules = [
        {
            **company.key("governance_rules", name),
            "rule_name": name,
            "rule_type": kind,
            "definition": definition,
            "is_active": is_active,
            "created_by": company.admin,
            "created_at": at(3, number),
            "updated_at": at(3 if is_active else LAST_DAY - 30, number),
        }
        for number, (name, kind, definition, is_active) in enumerate(RULES)
    ]
    return {
        "governance_rules": rules,
        "audit_logs": list(_logs(company, {**others, "governance_rules": rules})),
    }


def _logs(company: Company, others: Mapping[str, Sequence[Row]]) -> Iterator[Row]:
    operations = [company.user(name) for name in company.people_of(UserRole.OPERATIONS)]
    finance = company.user(company.people_of(UserRole.FINANCE)[0])
    for rule in others["governance_rules"]:
        yield _log(company, company.admin, "governance_rule.create", rule, {"rule_type": rule["rule_type"]})
    for user in others["users"]:
        if not user["is_active"]:
            yield _log(
                company,
                company.admin,
                "user.deactivate",
                user,
                {"username": user["username"]},
                when="updated_at",
            )
    for order in others["orders"]:
        if order["status"] is OrderStatus.REFUNDED:
            yield _log(
                company,
                finance,
                "order.refund",
                order,
                {"amount": str(order["total_amount"])},
                when="updated_at",
            )
        elif order["status"] is OrderStatus.CANCELLED:
            yield _log(
                company, None, "order.cancel", order, {"reason": "not paid in time"}, when="updated_at"
            )
    for number, incident in enumerate(others["incidents"]):
        if incident["status"] in {IncidentStatus.RESOLVED, IncidentStatus.CLOSED}:
            details = {"from": IncidentStatus.IN_PROGRESS.value, "to": incident["status"].value}
            yield _log(
                company,
                operations[number % len(operations)],
                "incident.update",
                incident,
                details,
                when="updated_at",
            )


def _log(
    company: Company,
    user: Any,
    action: str,
    resource: Row,
    details: dict[str, Any],
    *,
    when: str = "created_at",
) -> Row:
    """Return an audit log; user None is the system, which has no address."""
    draws = Draws(company.slug, action, str(resource["id"]))
    return {
        **company.key("audit_logs", f"{action}/{resource['id']}"),
        "user_id": user,
        "action": action,
        "resource_type": action.partition(".")[0],
        "resource_id": str(resource["id"]),
        "details": details,
        "ip_address": None if user is None else draws.one_of(["192.0.2.17", "198.51.100.4", "2001:db8::7"]),
        "created_at": resource[when],
    }
