"""The models of the 21 tables, one module per domain. Importing this package completes `Base.metadata`."""

from dbschema.ddl.extensions import Extension
from dbschema.ddl.registry import declare
from dbschema.models.activity import (
    Project,
    ProjectStatus,
    TransactionStatus,
    TransactionType,
    UserEvent,
    UserTransaction,
)
from dbschema.models.agents import AgentClass, AgentDefinition, DomainConfiguration
from dbschema.models.commerce import (
    CampaignStatus,
    Fulfillment,
    FulfillmentStatus,
    MarketingCampaign,
    Order,
    OrderStatus,
)
from dbschema.models.conversations import Conversation, Document, Message, MessageRole
from dbschema.models.governance import AuditLog, GovernanceRule, RoleMetricVisibility
from dbschema.models.identity import Team, Tenant, TenantStatus, User, UserRole
from dbschema.models.incidents import ImageEvidence, Incident, IncidentStatus
from dbschema.models.onboarding import EventSource, OnboardingEvent, OnboardingSession, OnboardingStatus
from dbschema.orm.base import Base
from dbschema.orm.geography import GeoPoint

metadata = Base.metadata

# postgis provides places; btree_gist indexes tenant and place, btree_gin indexes tenant and words or JSON.
declare(metadata, Extension("postgis"), Extension("btree_gist"), Extension("btree_gin"))

__all__ = [
    "AgentClass",
    "AgentDefinition",
    "AuditLog",
    "Base",
    "CampaignStatus",
    "Conversation",
    "Document",
    "DomainConfiguration",
    "EventSource",
    "Fulfillment",
    "FulfillmentStatus",
    "GeoPoint",
    "GovernanceRule",
    "ImageEvidence",
    "Incident",
    "IncidentStatus",
    "MarketingCampaign",
    "Message",
    "MessageRole",
    "OnboardingEvent",
    "OnboardingSession",
    "OnboardingStatus",
    "Order",
    "OrderStatus",
    "Project",
    "ProjectStatus",
    "RoleMetricVisibility",
    "Team",
    "Tenant",
    "TenantStatus",
    "TransactionStatus",
    "TransactionType",
    "User",
    "UserEvent",
    "UserRole",
    "UserTransaction",
    "metadata",
]
