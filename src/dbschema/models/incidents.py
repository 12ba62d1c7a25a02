"""Incidents as they were reported, where they happened, and the pictures that show them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKeyConstraint, Index, SmallInteger, desc
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.ddl.registry import declare_for
from dbschema.ddl.search import searchable
from dbschema.models.identity import OfTenant, User
from dbschema.models.incident_searches import INCIDENT_SEARCHES
from dbschema.orm.base import Base
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to, owns
from dbschema.orm.types import checked, checked_text, json_object


class IncidentStatus(StrEnum):
    """How far the handling of an incident is."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Incident(OfTenant, Timestamped, Base):
    """A report of something that happened somewhere."""

    __tablename__ = "incidents"
    __table_args__ = (
        foreign_key("created_by", "users"),
        checked("severity BETWEEN 1 AND 5", name="severity", rejects={"severity": 6}),
        Index("idx_incidents_tenant_domain", "tenant_id", "domain_id", desc("created_at")),
        Index("idx_incidents_created_at", "tenant_id", desc("created_at"), "id"),
        Index(
            # The tenant comes first, or a search reads what all others have of a common value.
            "idx_incidents_structured_data",
            "tenant_id",
            "structured_data",
            postgresql_using="gin",
            postgresql_ops={"structured_data": "jsonb_path_ops"},
        ),
        # The tenant comes first, or row security makes the nearest incidents 250 times slower.
        Index("idx_incidents_location", "tenant_id", "location", postgresql_using="gist"),
        Index("idx_incidents_category", "tenant_id", "category", desc("created_at"), "id"),
        Index("idx_incidents_created_by", "tenant_id", "created_by"),
        {"comment": "Reports of something that happened somewhere"},
    )

    domain_id: Mapped[str] = mapped_column(comment="domain_id of the domain configuration that it belongs to")
    title: Mapped[str | None] = mapped_column(comment="One line that says what happened")
    raw_text: Mapped[str | None] = mapped_column(comment="The report as it came in")
    status: Mapped[IncidentStatus] = checked_text(
        IncidentStatus, default=IncidentStatus.OPEN, comment="How far its handling is"
    )
    severity: Mapped[int | None] = mapped_column(
        SmallInteger, comment="1 (least) to 5 (worst); NULL: not judged yet"
    )
    location: Mapped[GeoPoint | None] = geography_point(comment="Where it happened, WGS 84")
    structured_data: Mapped[dict[str, Any]] = json_object(comment="What the agents read out of the report")
    # The key that is asked for most: a column has statistics and keeps its index under row security, a key has neither.
    # Cut, because a longer value would not fit into the index and the row be refused.
    category: Mapped[str | None] = mapped_column(
        Computed("left(structured_data ->> 'category', 200)", persisted=True),
        comment="What structured_data has under category; kept by the database",
    )
    occurred_at: Mapped[datetime | None] = mapped_column(comment="When it happened, as far as known")
    created_by: Mapped[UUID | None] = mapped_column(comment="The user who reported it")

    creator: Mapped[User | None] = belongs_to("Incident", "created_by", "User", optional=True)
    images: Mapped[list["ImageEvidence"]] = owns(
        "Incident",
        "ImageEvidence",
        "incident_id",
        back_populates="incident",
        order_by="ImageEvidence.created_at",
    )


class ImageEvidence(OfTenant, Created, Base):
    """A picture of an incident, kept in S3."""

    __tablename__ = "image_evidence"
    __table_args__ = (
        foreign_key("incident_id", "incidents", cascade=True),
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
        checked("byte_size >= 0", name="byte_size", rejects={"byte_size": -1}),
        Index("idx_image_evidence_incident", "tenant_id", "incident_id"),
        Index("idx_image_evidence_tenant", "tenant_id", desc("created_at")),
        {"comment": "Pictures of incidents; the files are in S3"},
    )

    incident_id: Mapped[UUID] = mapped_column(comment="The incident it shows")
    s3_bucket: Mapped[str] = mapped_column(comment="Bucket that holds the file")
    s3_key: Mapped[str] = mapped_column(comment="Key of the file in its bucket")
    content_type: Mapped[str | None] = mapped_column(comment="Media type, such as image/jpeg")
    byte_size: Mapped[int | None] = mapped_column(BigInteger, comment="Size of the file in bytes")
    checksum: Mapped[str | None] = mapped_column(comment="Checksum of the file, with its algorithm: sha256:…")
    captured_at: Mapped[datetime | None] = mapped_column(comment="When the picture was taken")
    location: Mapped[GeoPoint | None] = geography_point(comment="Where the picture was taken, WGS 84")

    incident: Mapped[Incident] = belongs_to(
        "ImageEvidence", "incident_id", "Incident", back_populates="images"
    )


searchable(Base.metadata.tables[Incident.__tablename__])
declare_for(Base.metadata.tables[Incident.__tablename__], *INCIDENT_SEARCHES)
