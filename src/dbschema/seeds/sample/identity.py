"""The sample's tenants, their people and their teams."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid5

from dbschema.models import TenantStatus, UserRole
from dbschema.seeds.sample.calendar import LAST_DAY, at

if TYPE_CHECKING:
    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows


def rows(company: Company) -> Rows:
    """The tenant, a user for each of its people, and its teams."""
    return {
        "tenants": [
            {
                "id": company.tenant_id,
                "tenant_name": company.name,
                "slug": company.slug,
                "status": TenantStatus.ACTIVE,
                "created_at": at(0),
                "updated_at": at(0),
            }
        ],
        "users": [_user(company, number) for number in range(len(company.people))],
        "teams": [
            {
                **company.key("teams", team["name"]),
                "team_name": team["name"],
                "description": team["description"],
                "members": [str(company.user(username)) for username in team["members"]],
                "created_by": company.admin,
                "created_at": at(1, number),
                "updated_at": at(1, number),
            }
            for number, team in enumerate(company.content["teams"])
        ],
    }


def _user(company: Company, number: int) -> Row:
    person = company.people[number]
    joined = at(0, 10 + number)
    return {
        **company.key("users", person.username),
        "username": person.username,
        "email": f"{person.username}.{company.slug}@example.com",
        "cognito_sub": str(uuid5(company.user(person.username), "cognito")),
        "display_name": person.name,
        "role": UserRole(person.role),
        "is_active": person.is_active,
        "created_at": joined,
        "updated_at": joined if person.is_active else at(LAST_DAY - 20),
    }
