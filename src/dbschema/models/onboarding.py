"""Onboarding sessions and their events."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.models.identity import OfTenant, User
from dbschema.orm.base import Base
from dbschema.orm.mixins import Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to, owns
from dbschema.orm.types import checked_text, json_document, json_object


class OnboardingStatus(StrEnum):
    """The state of an onboarding."""

    STARTED = "started"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"


class EventSource(StrEnum):
    """The channel of an event."""

    WEBHOOK = "webhook"
    API = "api"


class OnboardingSession(OfTenant, Timestamped, Base):
    """An onboarding, from start to end."""

    __tablename__ = "onboarding_sessions"
    __table_args__ = (
        foreign_key("user_id", "users"),
        UniqueConstraint("tenant_id", "external_reference"),
        Index("idx_onboarding_sessions_user", "tenant_id", "user_id"),
        Index("idx_onboarding_sessions_status", "tenant_id", "status"),
        {"comment": "Onboardings from their start to their end"},
    )

    user_id: Mapped[UUID | None] = mapped_column(comment="Who is onboarded; NULL: not known yet")
    external_reference: Mapped[str | None] = mapped_column(
        comment="What the other side calls it; unique in the tenant"
    )
    status: Mapped[OnboardingStatus] = checked_text(
        OnboardingStatus, default=OnboardingStatus.STARTED, comment="How far it is"
    )
    current_step: Mapped[str | None] = mapped_column(comment="Step that it is at")
    data: Mapped[dict[str, Any]] = json_object(comment="What was collected so far")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it began")
    completed_at: Mapped[datetime | None] = mapped_column(comment="When it ended")

    user: Mapped[User | None] = belongs_to("OnboardingSession", "user_id", "User", optional=True)
    events: Mapped[list["OnboardingEvent"]] = owns(
        "OnboardingSession",
        "OnboardingEvent",
        "session_id",
        back_populates="session",
        order_by="OnboardingEvent.received_at, OnboardingEvent.id",
    )


class OnboardingEvent(OfTenant, Created, Base):
    """An event of an onboarding, as the other system reported it."""

    __tablename__ = "onboarding_events"
    __table_args__ = (
        foreign_key("session_id", "onboarding_sessions", cascade=True),
        UniqueConstraint("tenant_id", "external_event_id"),
        Index("idx_onboarding_events_session", "tenant_id", "session_id", "received_at"),
        {"comment": "What happened in onboardings, as it was reported"},
    )

    session_id: Mapped[UUID] = mapped_column(comment="The onboarding it belongs to")
    event_type: Mapped[str] = mapped_column(comment="What happened")
    source: Mapped[EventSource] = checked_text(
        EventSource, default=EventSource.WEBHOOK, comment="How it came in"
    )
    external_event_id: Mapped[str | None] = mapped_column(
        comment="The sender's id of it: a webhook that is delivered twice is stored once"
    )
    payload: Mapped[Any] = json_document(comment="The event as it was sent")
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it came in")
    processed_at: Mapped[datetime | None] = mapped_column(comment="When it was worked on; NULL: not yet")

    session: Mapped[OnboardingSession] = belongs_to(
        "OnboardingEvent", "session_id", "OnboardingSession", back_populates="events"
    )
