"""The sample's incidents around real places, their images, and the agent and the domain of each tenant."""

from __future__ import annotations

from hashlib import sha256
from math import cos, radians
from typing import TYPE_CHECKING, Any

from dbschema.models import AgentClass, IncidentStatus, UserRole
from dbschema.orm.geography import GeoPoint
from dbschema.seeds.agents import DOMAIN_ID, playbook
from dbschema.seeds.sample.companies import read_data
from dbschema.seeds.sample.repeatable import LAST_DAY, Draws, at

if TYPE_CHECKING:
    from dbschema.seeds.sample.companies import Company, Place
    from dbschema.seeds.writing import Row, Rows


WAREHOUSE_DOMAIN = "warehouse_faults"


def domain_rows(company: Company) -> Rows:
    """Return an agent that plans detours around incidents, and the domain of faults in warehouses."""
    created = {"created_by": company.admin, "created_at": at(5), "updated_at": at(5)}
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
                **created,
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
                **created,
            }
        ],
    }


METRES_PER_DEGREE = 111_320
BUCKET = "sample-evidence.example"


def rows(company: Company) -> Rows:
    """Return street incidents, faults in the warehouses, and images of some of them."""
    hazards = read_data("hazards")
    total = sum(place.reports for place in company.places)
    incidents: list[Row] = []
    for place in company.places:
        for number in range(place.reports):
            incidents.append(
                _from_the_street(company, hazards, place, number, position=len(incidents), total=total)
            )
    for number, fault in enumerate(read_data("faults")):
        incidents.append(_from_the_warehouse(company, fault, number))
    return {
        "incidents": incidents,
        "image_evidence": [image for incident in incidents for image in _images(company, incident)],
    }


def nearby(point: GeoPoint, east: float, north: float) -> GeoPoint:
    """Return the place `east` and `north` metres from `point`, rounded to six decimals (a tenth of a metre)."""
    return GeoPoint(
        round(point.longitude + east / (METRES_PER_DEGREE * cos(radians(point.latitude))), 6),
        round(point.latitude + north / METRES_PER_DEGREE, 6),
    )


def _from_the_street(
    company: Company, hazards: list[dict[str, Any]], place: Place, number: int, *, position: int, total: int
) -> Row:
    draws = Draws(company.slug, "incidents", place.name, str(number))
    hazard = draws.one_of(hazards)
    measure = draws.number(*hazard["range"])
    # The order of the reports in time differs from their order in space, so that neighbours differ in age.
    day = LAST_DAY * ((position * 17) % total + draws.share()) / total
    return {
        **company.key("incidents", f"{place.name}/{number}"),
        "domain_id": DOMAIN_ID,
        "title": hazard["title"].format(place=place.name),
        "raw_text": draws.one_of(hazard["texts"]).format(place=place.name, measure=measure),
        "severity": draws.number(*hazard["severity"]) if draws.share() < 0.95 else None,
        "location": nearby(place.point, draws.number(-90, 90), draws.number(-90, 90)),
        "structured_data": {
            "category": hazard["hazard"],
            "hazard": hazard["hazard"],
            hazard["measure"]: measure,
            "place": place.name,
        },
        **_handling(company, draws, day),
    }


def _from_the_warehouse(company: Company, fault: dict[str, Any], number: int) -> Row:
    draws = Draws(company.slug, "faults", str(number))
    warehouse = company.warehouses[number % len(company.warehouses)]
    return {
        **company.key("incidents", f"fault/{number}"),
        "domain_id": WAREHOUSE_DOMAIN,
        "title": fault["title"],
        "raw_text": fault["text"].format(place=warehouse.name),
        "severity": fault["severity"],
        "location": warehouse.point,
        "structured_data": {"category": fault["area"], "area": fault["area"], "place": warehouse.name},
        **_handling(company, draws, 20 + 30 * number),
    }


def _handling(company: Company, draws: Draws, day: float) -> Row:
    """Return status, reporter and times of an incident; older incidents are further in their handling."""
    age = LAST_DAY - day
    if age < 6:
        status = IncidentStatus.OPEN
    elif age < 20:
        status = draws.one_of([IncidentStatus.OPEN, IncidentStatus.IN_PROGRESS, IncidentStatus.RESOLVED])
    else:
        status = draws.one_of(
            [IncidentStatus.IN_PROGRESS, IncidentStatus.RESOLVED, *[IncidentStatus.CLOSED] * 4]
        )
    created = at(day)
    worked_on = at(min(day + draws.number(1, 5), LAST_DAY))
    return {
        "status": status,
        "occurred_at": at(day, -draws.number(5, 90)),
        "created_by": company.user(draws.one_of(company.people_of(UserRole.OPERATIONS, UserRole.MEMBER))),
        "created_at": created,
        "updated_at": created if status is IncidentStatus.OPEN else worked_on,
    }


def _images(company: Company, incident: Row) -> list[Row]:
    draws = Draws("image", str(incident["id"]))
    images = []
    for number in range(draws.one_of([0, 1, 1, 2])):
        key = f"{company.slug}/{incident['id']}/{number + 1}.jpg"
        images.append(
            {
                **company.key("image_evidence", key),
                "incident_id": incident["id"],
                "s3_bucket": BUCKET,
                "s3_key": key,
                "content_type": "image/jpeg",
                "byte_size": draws.number(180_000, 3_200_000),
                "checksum": f"sha256:{sha256(key.encode()).hexdigest()}",
                "captured_at": incident["occurred_at"],
                "location": nearby(incident["location"], draws.number(-9, 9), draws.number(-9, 9))
                if draws.share() < 0.8
                else None,
                "created_at": incident["created_at"],
            }
        )
    return images
