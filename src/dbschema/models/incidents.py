"""Incidents, their images, and their searches by place and by structured data.

The searches are database functions because a policy prevents the use of their indexes.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKeyConstraint, Index, SmallInteger, desc
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.ddl.functions import Argument
from dbschema.ddl.registry import declare_for
from dbschema.ddl.search import search_function, searchable
from dbschema.models.identity import OfTenant, User
from dbschema.orm.base import Base
from dbschema.orm.geography import GeoPoint, geography_point
from dbschema.orm.mixins import Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to, owns
from dbschema.orm.types import checked, checked_text, json_object

TABLE = "incidents"
MOST_CORNERS = 10_000
"""Maximum number of corners of a searched area; each candidate row is compared with each corner."""

POSTGIS = ("postgis",)
_TIME = "timestamp with time zone"
_FILTERS = (
    Argument("in_domain", "text", "NULL"),
    Argument("with_status", "text", "NULL"),
    Argument("created_from", _TIME, "NULL"),
    Argument("created_before", _TIME, "NULL"),
)
_FILTERED = """
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)"""
_AFTER_TIME = (Argument("after_created_at", _TIME, "NULL"), Argument("after_id", "uuid", "NULL"))
_LATER_PAGE = """
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))"""
_NEWEST_FIRST = "item.created_at DESC, item.id"

INCIDENTS_NEAR = search_function(
    "search_incidents_near",
    TABLE,
    (
        Argument("place", "geography"),
        Argument("metres", "double precision"),
        *_FILTERS,
        Argument("after_distance", "double precision", "NULL"),
        Argument("after_id", "uuid", "NULL"),
    ),
    # Distances on the sphere, as in the index: otherwise the order and the distances would contradict each other.
    condition="ST_DWithin(item.location, place, metres, false)"
    + _FILTERED
    + """
        AND (after_distance IS NULL OR (item.location <-> place) > after_distance
             OR ((item.location <-> place) = after_distance AND item.id > after_id))""",
    order="item.location <-> place",
    nearest_first=True,
    extensions=POSTGIS,
    comment="Incidents of the tenant within so many metres of a place, nearest first",
)

# The edges of a box of degrees follow parallels, which the edges of a polygon on the sphere do not. The index stores
# three-dimensional boxes. The three-dimensional box around these points is exactly the box of the search: the extremes of
# cos(latitude) times cos(longitude), and of sin, are at its edges, at the equator and at the quarters of the globe. Values
# outside the box are NULL, and so are their points. The expressions have no SELECT, which each call would plan again.
_QUARTERS = {f"quarter_{number}": longitude for number, longitude in enumerate((-180, -90, 0, 90, 180), 1)}
_POINTS = ",\n        ".join(
    ", ".join(f"ST_MakePoint({x}, {y})" for x in ("west", "east", *_QUARTERS))
    for y in ("south", "north", "equator")
)
_COVERING = (
    "equator CONSTANT double precision := CASE WHEN 0 BETWEEN south AND north THEN 0 END",
    *(
        f"{name} CONSTANT double precision := CASE WHEN west <= {x} AND {x} <= east"
        f" OR west > east AND (west <= {x} OR {x} <= east) THEN {x} END"
        for name, x in _QUARTERS.items()
    ),
    f"covering CONSTANT geography := ST_SetSRID(ST_Collect(ARRAY[\n        {_POINTS}]), 4326)::geography",
)

INCIDENTS_IN_BOX = search_function(
    "search_incidents_in_box",
    TABLE,
    (
        *(Argument(name, "double precision") for name in ("west", "south", "east", "north")),
        *_FILTERS,
        *_AFTER_TIME,
    ),
    values=_COVERING,
    # In a CASE, because the planner estimates that each comparison of an expression matches few rows, and the box almost none.
    condition="""item.location && covering
        AND CASE WHEN ST_Y(item.location::geometry) NOT BETWEEN south AND north THEN false
            WHEN west <= east THEN ST_X(item.location::geometry) BETWEEN west AND east
            ELSE ST_X(item.location::geometry) >= west OR ST_X(item.location::geometry) <= east END"""
    + _FILTERED
    + _LATER_PAGE,
    order=_NEWEST_FIRST,
    plans="force_custom_plan",
    extensions=POSTGIS,
    comment="Incidents of the tenant between two longitudes and two latitudes, newest first; west > east: over 180 degrees",
)

INCIDENTS_IN_AREA = search_function(
    "search_incidents_in_area",
    TABLE,
    (Argument("area", "geography"), *_FILTERS, *_AFTER_TIME),
    condition="ST_Covers(area, item.location)" + _FILTERED + _LATER_PAGE,
    order=_NEWEST_FIRST,
    rejected_if=f"ST_NPoints(area::geometry) > {MOST_CORNERS}",
    plans="force_custom_plan",
    extensions=POSTGIS,
    comment="Incidents of the tenant in a polygon or several, newest first",
)

INCIDENTS_BY_DATA = search_function(
    "search_incidents_by_data",
    TABLE,
    (Argument("contained", "jsonb"), *_FILTERS, *_AFTER_TIME),
    condition="item.structured_data @> contained" + _FILTERED + _LATER_PAGE,
    order=_NEWEST_FIRST,
    comment="Incidents of the tenant whose structured data contain others, newest first",
)

INCIDENT_SEARCHES = (INCIDENTS_NEAR, INCIDENTS_IN_BOX, INCIDENTS_IN_AREA, INCIDENTS_BY_DATA)


class IncidentStatus(StrEnum):
    """The state of an incident."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Incident(OfTenant, Timestamped, Base):
    """A report of an event, with its place."""

    __tablename__ = "incidents"
    __table_args__ = (
        foreign_key("created_by", "users"),
        checked("severity BETWEEN 1 AND 5", name="severity", rejects={"severity": 6}),
        Index("idx_incidents_tenant_domain", "tenant_id", "domain_id", desc("created_at")),
        Index("idx_incidents_created_at", "tenant_id", desc("created_at"), "id"),
        Index(
            # With tenant_id first, a search for a common value does not read the entries of all other tenants.
            "idx_incidents_structured_data",
            "tenant_id",
            "structured_data",
            postgresql_using="gin",
            postgresql_ops={"structured_data": "jsonb_path_ops"},
        ),
        # Without tenant_id first, row-level security makes a search for the nearest incidents 250 times slower.
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
    # The most frequently used key. A column has statistics, and row-level security does not disable its index; neither is
    # true of a key in JSON. The value is truncated: PostgreSQL would reject a row whose value does not fit into the index.
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
    """A picture of an incident; S3 stores the file."""

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
