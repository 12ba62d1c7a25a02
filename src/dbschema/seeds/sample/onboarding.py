"""The sample's onboarding sessions, at least one for each status, and their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbschema.models import EventSource, OnboardingStatus
from dbschema.seeds.sample.repeatable import at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows

STEPS = ("account.created", "details.confirmed", "bank.linked", "agreement.signed", "onboarding.completed")


@dataclass(frozen=True)
class Course:
    """The course of an onboarding.

    Args:
        person: index of the user; None: not known yet.
        steps: number of completed `STEPS`.
        last_event: type of an event after these steps, if there is such an event.
    """

    status: OnboardingStatus
    day: int
    person: int | None
    steps: int
    last_event: str | None = None


COURSES = (
    Course(OnboardingStatus.COMPLETED, 2, 1, 5),
    Course(OnboardingStatus.COMPLETED, 9, 2, 5),
    Course(OnboardingStatus.FAILED, 31, 5, 2, "bank.refused"),  # words: stored rows
    Course(OnboardingStatus.ABANDONED, 44, None, 1, "session.expired"),
    Course(OnboardingStatus.IN_PROGRESS, 84, 6, 3),
    Course(OnboardingStatus.STARTED, 89, None, 1),
)


def rows(company: Company) -> Rows:
    """Return a session for each of `COURSES`, and its events at intervals of six hours."""
    sessions: list[Row] = []
    events: list[Row] = []
    for number, course in enumerate(COURSES):
        reference = f"onb-{company.currency.lower()}-{number + 1:04}"
        key = company.key("onboarding_sessions", reference)
        own = list(_events(company, course, reference, key))
        events += own
        sessions.append(_session(company, course, reference, key, own[-1]["received_at"]))
    return {"onboarding_sessions": sessions, "onboarding_events": events}


def _session(company: Company, course: Course, reference: str, key: Row, last: datetime) -> Row:
    ended = course.status not in {OnboardingStatus.STARTED, OnboardingStatus.IN_PROGRESS}
    person = None if course.person is None else company.people[course.person]
    return {
        **key,
        "user_id": None if person is None else company.user(person.username),
        "external_reference": reference,
        "status": course.status,
        "current_step": STEPS[course.steps - 1],
        "data": {"country": company.country, "steps_done": list(STEPS[: course.steps])},
        "started_at": at(course.day),
        "completed_at": last if ended else None,
        "created_at": at(course.day),
        "updated_at": last,
    }


def _events(company: Company, course: Course, reference: str, session: Row) -> Iterator[Row]:
    names = [*STEPS[: course.steps], *([course.last_event] if course.last_event else [])]
    for number, name in enumerate(names):
        event_id = f"evt-{reference}-{number + 1}"
        received = at(course.day, 360 * number + 1)
        waiting = course.status is OnboardingStatus.IN_PROGRESS and number == len(names) - 1
        yield {
            **company.key("onboarding_events", event_id),
            "session_id": session["id"],
            "event_type": name,
            "source": EventSource.API if number == 0 else EventSource.WEBHOOK,
            "external_event_id": event_id,
            "payload": {"type": name, "reference": reference, "attempt": 1},
            "received_at": received,
            "processed_at": None if waiting else at(course.day, 360 * number + 2),
            "created_at": received,
        }
