"""What a sample tenant adds to the built-in agents: one of its own, and a domain for its warehouses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.models import AgentClass
from dbschema.seeds.agents import playbook
from dbschema.seeds.sample.calendar import at

if TYPE_CHECKING:
    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Rows

WAREHOUSE_DOMAIN = "warehouse_faults"


def rows(company: Company) -> Rows:
    """An agent that plans detours around incidents, and the domain of faults in warehouses."""
    made = {"created_by": company.admin, "created_at": at(5), "updated_at": at(5)}
    return {
        "agent_definitions": [
            {
                **company.key("agent_definitions", "detour_planner"),
                "agent_id": "detour_planner",
                "agent_name": "Detour planner",
                "agent_class": AgentClass.QUERY,
                "system_prompt": f"Propose a way through {company.city} that avoids the incidents that were found.",
                "tools": ["route"],
                "agent_dependencies": ["incident_finder"],
                "max_output_keys": 2,
                "output_schema": {
                    "type": "object",
                    "properties": {"route": {"type": "string"}, "extra_minutes": {"type": "number"}},
                    "required": ["route", "extra_minutes"],
                    "additionalProperties": False,
                },
                "description": "Plans detours for the next round.",
                "enabled": True,
                "is_inbuilt": False,
                **made,
            }
        ],
        "domain_configurations": [
            {
                **company.key("domain_configurations", WAREHOUSE_DOMAIN),
                "domain_id": WAREHOUSE_DOMAIN,
                "domain_name": "Faults in warehouses",
                "description": "What is broken where goods are stored and packed",
                "ingestion_playbook": playbook("report_reader", "severity_judge"),
                "query_playbook": playbook("incident_finder", "answer_writer"),
                "management_playbook": playbook("dispatcher", "follow_up", escalate_from_severity=3),
                **made,
            }
        ],
    }
