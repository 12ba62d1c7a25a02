"""The sample tenants with their users and teams, from data files: shops in Lisbon, Toronto and Melbourne."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from dbschema.models import TenantStatus, UserRole
from dbschema.orm.geography import GeoPoint
from dbschema.seeds.sample.repeatable import LAST_DAY, at
from dbschema.seeds.writing import row_id, tenant_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from dbschema.seeds.writing import Row, Rows


def read_data(name: str) -> Any:
    """Return the content of the data file `name`.json of this package."""
    return json.loads(files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Person:
    """A user of a shop."""

    username: str
    name: str
    role: str
    is_active: bool = True


@dataclass(frozen=True)
class Place:
    """A place in the shop's city: real name, real coordinates (WGS 84, degrees), and its number of reports."""

    name: str
    longitude: float
    latitude: float
    reports: int = 1

    @property
    def point(self) -> GeoPoint:
        """The coordinates as the value of a column."""
        return GeoPoint(self.longitude, self.latitude)


@dataclass(frozen=True)
class Company:
    """A sample tenant.

    Args:
        bounds: west, south, east and north of the city, in degrees.
        content: the other entries of the data file, by topic.
    """

    slug: str
    name: str
    city: str
    country: str
    bounds: tuple[float, float, float, float]
    currency: str
    people: tuple[Person, ...]
    places: tuple[Place, ...]
    warehouses: tuple[Place, ...]
    content: Mapping[str, Any]

    @classmethod
    def read(cls, slug: str) -> Company:
        """Read the sample tenant with this slug, one of `SAMPLE_SLUGS`."""
        data = read_data(slug)
        west, south, east, north = data.pop("bounds")
        return cls(
            bounds=(west, south, east, north),
            people=tuple(Person(**person) for person in data.pop("people")),
            places=tuple(Place(**place) for place in data.pop("places")),
            warehouses=tuple(Place(**place) for place in data.pop("warehouses")),
            **{name: data.pop(name) for name in ("slug", "name", "city", "country", "currency")},
            content=data,
        )

    @cached_property
    def tenant_id(self) -> UUID:
        """The id of the tenant, computed from its slug."""
        return tenant_id(self.slug)

    def key(self, table: str, name: str) -> dict[str, Any]:
        """Return the primary key of the row `name` in `table`: `tenant_id` and `id`; see `row_id`."""
        return {"tenant_id": self.tenant_id, "id": row_id(self.tenant_id, table, name)}

    def user(self, username: str) -> UUID:
        """Return the id of a user."""
        return row_id(self.tenant_id, "users", username)

    def people_of(self, *roles: UserRole) -> list[str]:
        """Return the usernames of the active users with one of `roles`."""
        return [
            person.username for person in self.people if person.is_active and UserRole(person.role) in roles
        ]

    @property
    def admin(self) -> UUID:
        """The id of the first administrator."""
        return self.user(self.people_of(UserRole.ADMIN)[0])


def rows(company: Company) -> Rows:
    """Return the tenant, its users and its teams."""
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
