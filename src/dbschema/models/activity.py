"""Events, payments and projects of users."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, desc, func
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.models.identity import OfTenant, User
from dbschema.orm.base import Base
from dbschema.orm.mixins import Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to
from dbschema.orm.types import Money, checked_text, currency, json_object, pattern


class TransactionType(StrEnum):
    """The reason of a transaction."""

    PAYMENT = "payment"
    REFUND = "refund"
    CREDIT = "credit"
    ADJUSTMENT = "adjustment"


class TransactionStatus(StrEnum):
    """The state of a transaction."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ProjectStatus(StrEnum):
    """The state of a project."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class UserEvent(OfTenant, Created, Base):
    """An action of a user."""

    __tablename__ = "user_events"
    __table_args__ = (
        foreign_key("user_id", "users"),
        Index("idx_user_events_user", "tenant_id", "user_id", desc("occurred_at")),
        Index("idx_user_events_type", "tenant_id", "event_type", desc("occurred_at")),
        {"comment": "What users did"},
    )

    user_id: Mapped[UUID] = mapped_column(comment="Who did it")
    event_type: Mapped[str] = mapped_column(comment="What was done, such as page.view")
    properties: Mapped[dict[str, Any]] = json_object(comment="What else is known of it")
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it was done")

    user: Mapped[User] = belongs_to("UserEvent", "user_id", "User")


class UserTransaction(OfTenant, Timestamped, Base):
    """A payment between a user and the tenant."""

    __tablename__ = "user_transactions"
    __table_args__ = (
        foreign_key("user_id", "users"),
        UniqueConstraint("tenant_id", "provider", "provider_reference"),
        Index("idx_user_transactions_user", "tenant_id", "user_id", desc("created_at")),
        {"comment": "Money that moves between users and the tenant"},
    )

    user_id: Mapped[UUID] = mapped_column(comment="Whose transaction it is")
    transaction_type: Mapped[TransactionType] = checked_text(TransactionType, comment="What moves the money")
    status: Mapped[TransactionStatus] = checked_text(
        TransactionStatus, default=TransactionStatus.PENDING, comment="How far it is"
    )
    amount: Mapped[Money] = mapped_column(comment="In the row's currency; negative: taken back")
    currency: Mapped[str] = currency()
    provider: Mapped[str | None] = mapped_column(comment="Payment service, such as stripe")
    provider_reference: Mapped[str | None] = mapped_column(
        comment="The provider's id; unique with the provider"
    )

    user: Mapped[User] = belongs_to("UserTransaction", "user_id", "User")


class Project(OfTenant, Timestamped, Base):
    """A project of a user; S3 stores its files."""

    __tablename__ = "projects"
    __table_args__ = (
        foreign_key("user_id", "users"),
        Index("idx_projects_user", "tenant_id", "user_id", desc("created_at")),
        {"comment": "Projects of users; their files are in S3"},
    )

    user_id: Mapped[UUID] = mapped_column(comment="Whose project it is")
    project_name: Mapped[str]
    status: Mapped[ProjectStatus] = checked_text(
        ProjectStatus, default=ProjectStatus.ACTIVE, comment="Whether it is worked on"
    )
    s3_uri: Mapped[str | None] = pattern(
        "^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$",
        comment="Where its files are",
        sample="s3://bucket/key",
    )
    metadata_: Mapped[dict[str, Any]] = json_object("metadata", comment="What else is known of it")

    user: Mapped[User] = belongs_to("Project", "user_id", "User")
