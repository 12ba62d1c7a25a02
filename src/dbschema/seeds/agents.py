"""Reference rows of the built-in agents, and of the domain that uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbschema.models import AgentClass
from dbschema.seeds.writing import row_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from dbschema.seeds.writing import Row

DOMAIN_ID = "street_incidents"


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema of an object with exactly these properties, all required."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _list_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(item)}


_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_INCIDENT_ID = {"type": "string", "format": "uuid"}


@dataclass(frozen=True)
class Agent:
    """A built-in agent; the fields are the columns of `agent_definitions`."""

    agent_id: str
    agent_name: str
    agent_class: AgentClass
    description: str
    system_prompt: str
    output_schema: Mapping[str, Any]
    tools: tuple[str, ...] = ()
    agent_dependencies: tuple[str, ...] = ()


AGENTS = (
    Agent(
        "report_reader",
        "Report reader",
        AgentClass.INGESTION,
        "Reads a report and says what happened.",
        "Read the report. Give a title of at most eight words, what happened, the measurements that the report itself"
        " names, and when it happened. Leave out what the report does not say; never guess.",
        _object(title=_TEXT, hazard=_TEXT, measurements={"type": "object"}, occurred_at=_TEXT),
    ),
    Agent(
        "place_finder",
        "Place finder",
        AgentClass.INGESTION,
        "Finds where it happened.",
        "Find the place that the report speaks of. Prefer the coordinates of a picture over a street name, and a"  # words: stored rows
        " crossing over a street. Give longitude and latitude in degrees, WGS 84, and how many metres you may be off.",
        _object(longitude=_NUMBER, latitude=_NUMBER, uncertainty_m=_NUMBER, place_name=_TEXT),
        tools=("geocode", "read_image_position"),
        agent_dependencies=("report_reader",),
    ),
    Agent(
        "severity_judge",
        "Severity judge",
        AgentClass.INGESTION,
        "Judges how bad it is, from 1 to 5.",
        "Judge the incident from 1 (can wait) to 5 (danger to life) by what the report says and by what is near the"
        " place. Give the reason in one sentence.",
        _object(severity={"type": "integer", "minimum": 1, "maximum": 5}, reason=_TEXT),
        tools=("nearest_incidents",),
        agent_dependencies=("report_reader", "place_finder"),
    ),
    Agent(
        "incident_finder",
        "Incident finder",
        AgentClass.QUERY,
        "Finds the incidents that a question is about.",
        "Turn the question into a search by place, time, status and severity. Give the ids of the incidents, the"
        " nearest or newest first, and say which conditions you applied.",
        _object(incident_ids=_list_of(_INCIDENT_ID), conditions=_list_of(_TEXT)),
        tools=("search_incidents", "nearest_incidents"),
    ),
    Agent(
        "answer_writer",
        "Answer writer",
        AgentClass.QUERY,
        "Answers in two sentences, with the incidents it speaks of.",  # words: stored rows
        "Answer the question from the incidents that were found, in at most two sentences. Name the ids that you used."
        " Where nothing was found, say so.",
        _object(answer=_TEXT, incident_ids=_list_of(_INCIDENT_ID)),
        agent_dependencies=("incident_finder",),
    ),
    Agent(
        "dispatcher",
        "Dispatcher",
        AgentClass.MANAGEMENT,
        "Says who should take care of it.",
        "Choose the team that takes care of the incident, by its description and by who is free. Give the reason in one"
        " sentence. Do not choose a team that has no members.",
        _object(team_id=_INCIDENT_ID, reason=_TEXT),
        tools=("list_teams", "nearest_incidents"),
    ),
    Agent(
        "follow_up",
        "Follow-up",
        AgentClass.MANAGEMENT,
        "Moves an incident on, and tells the one who reported it.",  # words: stored rows
        "Compare the status of the incident with what has happened since. Propose the next status and write one"
        " sentence to the person who reported it.",
        _object(status=_TEXT, message=_TEXT),
        tools=("update_incident", "notify_user"),
        agent_dependencies=("dispatcher",),
    ),
)


def playbook(*agent_ids: str, **settings: Any) -> dict[str, Any]:
    """Return a playbook: the agents in their order, each with the agents whose output it reads, and settings."""
    agents = {agent.agent_id: agent for agent in AGENTS}
    steps = [
        {
            "agent_id": agent_id,
            "reads": list(agents[agent_id].agent_dependencies) if agent_id in agents else [],
        }
        for agent_id in agent_ids
    ]
    return {"steps": steps, **settings}


def agent_rows(tenant: UUID) -> list[Row]:
    """Return the rows of `agent_definitions` for a tenant."""
    return [
        {
            "tenant_id": tenant,
            "id": row_id(tenant, "agent_definitions", agent.agent_id),
            "agent_id": agent.agent_id,
            "agent_name": agent.agent_name,
            "agent_class": agent.agent_class,
            "system_prompt": agent.system_prompt,
            "tools": list(agent.tools),
            "agent_dependencies": list(agent.agent_dependencies),
            "max_output_keys": len(agent.output_schema["properties"]),
            "output_schema": dict(agent.output_schema),
            "description": agent.description,
            "enabled": True,
            "is_inbuilt": True,
            "created_by": None,
        }
        for agent in AGENTS
    ]


def domain_rows(tenant: UUID) -> list[Row]:
    """Return the rows of `domain_configurations` for a tenant: one domain, which uses all built-in agents."""
    return [
        {
            "tenant_id": tenant,
            "id": row_id(tenant, "domain_configurations", DOMAIN_ID),
            "domain_id": DOMAIN_ID,
            "domain_name": "Street incidents",
            "description": "What is in the way on the street: holes, water, trees, works, lights and signs",
            "ingestion_playbook": playbook(
                "report_reader", "place_finder", "severity_judge", ask_when_unsure=True
            ),
            "query_playbook": playbook("incident_finder", "answer_writer", most_incidents=20),
            "management_playbook": playbook("dispatcher", "follow_up", escalate_from_severity=4),
            "created_by": None,
        }
    ]
