"""Tenants, their users, and their teams."""

from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import Index, UniqueConstraint, true
from sqlalchemy.orm import Mapped, MappedColumn, declared_attr, mapped_column, relationship

from dbschema.orm.base import Base
from dbschema.orm.mixins import TenantRoot, TenantScoped, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to
from dbschema.orm.types import SAMPLE, LowerText, checked_text, json_array, pattern


class TenantStatus(StrEnum):
    """The state of a tenant: active, or suspended from service."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class UserRole(StrEnum):
    """The role of a user in a tenant; stored in lower case, accepted in any case."""

    FINANCE = "finance"
    OPERATIONS = "operations"
    MARKETING = "marketing"
    ADMIN = "admin"
    MEMBER = "member"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return next((role for role in cls if role.value == str(value).lower()), None)


def email(*, comment: str) -> MappedColumn[Any]:
    """Return a column for an email address, stored in lower case."""
    return mapped_column(LowerText(), comment=comment, info={SAMPLE: _sample_email})


def _sample_email() -> str:
    return f"{uuid4().hex[:16]}@example.com"


class Tenant(TenantRoot, Timestamped, Base):
    """A customer; each row of the other tables belongs to one tenant."""

    __tablename__ = "tenants"
    __table_args__ = (
        UniqueConstraint("slug"),
        {"comment": "Customers; every other row belongs to one of them"},
    )

    tenant_name: Mapped[str] = mapped_column(comment="Name as people read it")
    slug: Mapped[str] = pattern(
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        comment="Name in addresses: lower case letters, digits and hyphens",
    )
    status: Mapped[TenantStatus] = checked_text(
        TenantStatus,
        default=TenantStatus.ACTIVE,
        comment="A suspended tenant keeps its data and is not served",
    )

    users: Mapped[list["User"]] = relationship(
        primaryjoin="Tenant.id == foreign(User.tenant_id)",
        back_populates="tenant",
        lazy="raise",
        passive_deletes="all",
    )
    teams: Mapped[list["Team"]] = relationship(
        primaryjoin="Tenant.id == foreign(Team.tenant_id)",
        back_populates="tenant",
        lazy="raise",
        passive_deletes="all",
    )


class OfTenant(TenantScoped):
    """`TenantScoped`, with a relationship to the tenant."""

    @declared_attr
    @classmethod
    def tenant(cls) -> Mapped[Tenant]:
        """The tenant of the row."""
        owner: Any = cls
        return relationship(
            "Tenant",
            primaryjoin=f"foreign({owner.__name__}.tenant_id) == Tenant.id",
            lazy="raise",
        )


class User(OfTenant, Timestamped, Base):
    """A person or a program that acts for a tenant."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("tenant_id", "username"),
        UniqueConstraint("tenant_id", "email"),
        UniqueConstraint("tenant_id", "cognito_sub"),
        {"comment": "People and programs that act for a tenant"},
    )

    username: Mapped[str] = mapped_column(comment="Name to sign in with, unique within the tenant")
    email: Mapped[str] = email(comment="In lower case, unique within the tenant")
    cognito_sub: Mapped[str | None] = mapped_column(comment="Subject of the Cognito user pool")
    display_name: Mapped[str | None] = mapped_column(comment="Name as others see it")
    role: Mapped[UserRole] = checked_text(
        UserRole, default=UserRole.MEMBER, comment="Decides which metrics are shown"
    )
    is_active: Mapped[bool] = mapped_column(server_default=true(), comment="False: may not sign in")


class Team(OfTenant, Timestamped, Base):
    """A group of users."""

    __tablename__ = "teams"
    __table_args__ = (
        foreign_key("created_by", "users"),
        Index("idx_teams_created_by", "tenant_id", "created_by"),
        {"comment": "Groups of users"},
    )

    team_name: Mapped[str]
    description: Mapped[str | None]
    members: Mapped[list[Any]] = json_array(comment="Ids of the users in it")
    created_by: Mapped[UUID | None] = mapped_column(comment="The user who made it")

    creator: Mapped[User | None] = belongs_to("Team", "created_by", "User", optional=True)
