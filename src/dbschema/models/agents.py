"""Agents that process incidents, and the domains that use them."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, desc, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.models.identity import OfTenant, User
from dbschema.orm.base import Base
from dbschema.orm.mixins import Timestamped, Versioned, foreign_key
from dbschema.orm.relations import belongs_to
from dbschema.orm.types import checked, checked_text, json_array, json_object


class AgentClass(StrEnum):
    """The purpose of an agent."""

    INGESTION = "ingestion"
    QUERY = "query"
    MANAGEMENT = "management"


class AgentDefinition(Versioned, OfTenant, Timestamped, Base):
    """An agent: its prompt, its tools, the agents that it depends on, and its output."""

    __tablename__ = "agent_definitions"
    __table_args__ = (
        foreign_key("created_by", "users"),
        UniqueConstraint("tenant_id", "agent_id"),
        checked(
            "NOT agent_dependencies ? agent_id",
            name="no_self_dependency",
            rejects={"agent_id": "a", "agent_dependencies": ["a"]},
        ),
        checked("max_output_keys > 0", name="max_output_keys", rejects={"max_output_keys": 0}),
        checked("version >= 1", name="version", rejects={"version": 0}),
        Index("idx_agents_tenant_class", "tenant_id", "agent_class"),
        Index("idx_agents_enabled", "tenant_id", "agent_class", "agent_id", postgresql_where=text("enabled")),
        Index("idx_agents_tenant", "tenant_id", desc("created_at")),
        Index("idx_agents_created_by", "tenant_id", "created_by"),
        {"comment": "Agents that ingest, query and manage incidents"},
    )

    agent_id: Mapped[str] = mapped_column(
        comment="Name that programs and other agents use, unique within the tenant"
    )
    agent_name: Mapped[str] = mapped_column(comment="Name as people read it")
    agent_class: Mapped[AgentClass] = checked_text(AgentClass, comment="What the agent is for")
    system_prompt: Mapped[str] = mapped_column(comment="Instructions that the agent starts with")
    tools: Mapped[list[Any]] = json_array(comment="Names of the tools it may call")
    agent_dependencies: Mapped[list[Any]] = json_array(comment="agent_id of the agents whose output it reads")
    max_output_keys: Mapped[int] = mapped_column(
        server_default=text("5"), comment="How many keys its output may have"
    )
    output_schema: Mapped[dict[str, Any]] = json_object(comment="JSON Schema of its output")
    description: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(server_default=true(), comment="False: not called")
    is_inbuilt: Mapped[bool] = mapped_column(server_default=false(), comment="Delivered with the product")
    created_by: Mapped[UUID | None] = mapped_column(comment="The user who made it; none for a built-in one")

    creator: Mapped[User | None] = belongs_to("AgentDefinition", "created_by", "User", optional=True)


class DomainConfiguration(OfTenant, Timestamped, Base):
    """A domain of incidents, with playbooks for its agents."""

    __tablename__ = "domain_configurations"
    __table_args__ = (
        foreign_key("created_by", "users"),
        UniqueConstraint("tenant_id", "domain_id"),
        Index("idx_domains_tenant", "tenant_id", desc("created_at")),
        Index("idx_domains_created_by", "tenant_id", "created_by"),
        {"comment": "Domains of incidents, and the agents that work in each"},
    )

    domain_id: Mapped[str] = mapped_column(comment="Name that programs use, unique within the tenant")
    domain_name: Mapped[str] = mapped_column(comment="Name as people read it")
    description: Mapped[str | None]
    ingestion_playbook: Mapped[dict[str, Any]] = json_object(comment="Agents and order of taking a report in")
    query_playbook: Mapped[dict[str, Any]] = json_object(comment="Agents and order of answering a question")
    management_playbook: Mapped[dict[str, Any]] = json_object(
        comment="Agents and order of handling an incident"
    )
    created_by: Mapped[UUID | None] = mapped_column(comment="The user who made it")

    creator: Mapped[User | None] = belongs_to("DomainConfiguration", "created_by", "User", optional=True)
