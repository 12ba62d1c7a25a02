"""Visibility of metrics, rules of a tenant, and the audit log."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, desc, true
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.models.identity import OfTenant, User, UserRole
from dbschema.orm.base import Base
from dbschema.orm.mixins import AppendOnly, Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to
from dbschema.orm.types import checked_text, json_object


class RoleMetricVisibility(OfTenant, Timestamped, Base):
    """The visibility of a metric for the users of a role."""

    __tablename__ = "role_metric_visibility"
    __table_args__ = (
        UniqueConstraint("tenant_id", "role", "metric_name"),
        {"comment": "Which metrics the users of a role see"},
    )

    role: Mapped[UserRole] = checked_text(UserRole, comment="Role of the users")
    metric_name: Mapped[str] = mapped_column(comment="Name of the metric, as dashboards use it")
    is_visible: Mapped[bool] = mapped_column(server_default=true(), comment="False: hidden from the role")


class GovernanceRule(OfTenant, Timestamped, Base):
    """A rule that a tenant sets for itself."""

    __tablename__ = "governance_rules"
    __table_args__ = (
        foreign_key("created_by", "users"),
        UniqueConstraint("tenant_id", "rule_name"),
        Index("idx_governance_rules_created_by", "tenant_id", "created_by"),
        {"comment": "Rules that a tenant sets for itself"},
    )

    rule_name: Mapped[str] = mapped_column(comment="Unique within the tenant")
    rule_type: Mapped[str] = mapped_column(comment="What kind of rule it is, such as retention or approval")
    definition: Mapped[dict[str, Any]] = json_object(comment="The rule itself, in the shape of its type")
    is_active: Mapped[bool] = mapped_column(server_default=true(), comment="False: kept, and not applied")
    created_by: Mapped[UUID | None] = mapped_column(comment="The user who made it")

    creator: Mapped[User | None] = belongs_to("GovernanceRule", "created_by", "User", optional=True)


class AuditLog(OfTenant, AppendOnly, Created, Base):
    """A record of an action of a user or of the system; append-only."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        foreign_key("user_id", "users"),
        Index("idx_audit_logs_created_at", "tenant_id", desc("created_at"), "id"),
        Index(
            "idx_audit_logs_resource", "tenant_id", "resource_type", "resource_id", desc("created_at"), "id"
        ),
        Index("idx_audit_logs_user", "tenant_id", "user_id", desc("created_at")),
        {"comment": "What was done, by whom and to what; rows are never changed"},
    )

    user_id: Mapped[UUID | None] = mapped_column(comment="Who did it; NULL: the system")
    action: Mapped[str] = mapped_column(comment="What was done, such as incident.update")
    resource_type: Mapped[str] = mapped_column(comment="Kind of the thing it was done to")
    resource_id: Mapped[str | None] = mapped_column(comment="Id of the thing it was done to")
    details: Mapped[dict[str, Any]] = json_object(comment="What else is worth keeping")
    ip_address: Mapped[IPv4Address | IPv6Address | None] = mapped_column(
        INET, comment="Where the request came from"
    )

    user: Mapped[User | None] = belongs_to("AuditLog", "user_id", "User", optional=True)
