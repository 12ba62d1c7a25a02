"""Rows that are there already: by a natural key, of the session's tenant alone, and with the triggers' columns left to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Index, func, select, text

from dbschema import Loaded, bulk_load
from dbschema.loading import BadRows
from dbschema.loading.errors import WrongCall
from dbschema.models import AgentDefinition, Incident, OnboardingEvent, OnboardingSession, User

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sqlalchemy.orm import Session

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def agent(number: int, **values: Any) -> dict[str, Any]:
    return {
        "agent_id": f"agent-{number}",
        "agent_name": f"Agent {number}",
        "agent_class": "query",
        "system_prompt": "…",
        **values,
    }


def agents(session: Session) -> list[AgentDefinition]:
    return list(session.scalars(select(AgentDefinition).order_by(AgentDefinition.agent_id)))


@pytest.mark.parametrize("key", [["agent_id"], ["tenant_id", "agent_id"], ("agent_id", "tenant_id")])
def test_an_upsert_changes_what_is_there_and_adds_the_rest(session: Session, key: Any) -> None:
    bulk_load(session, AgentDefinition, [agent(1), agent(2)])
    ids = [one.id for one in agents(session)]

    loaded = bulk_load(
        session,
        AgentDefinition,
        [agent(2, agent_name="New"), agent(3, agent_name="Third")],
        on_conflict="update",
        key=key,
    )

    found = agents(session)
    assert loaded == Loaded("agent_definitions", count=2)
    assert [one.agent_name for one in found] == ["Agent 1", "New", "Third"]
    assert [one.id for one in found][:2] == ids
    assert [one.version for one in found] == [1, 2, 1]


def test_updated_at_stays_the_triggers(session: Session) -> None:
    bulk_load(session, AgentDefinition, [agent(1, updated_at=LONG_AGO)])

    bulk_load(
        session,
        AgentDefinition,
        [agent(1, agent_name="New", updated_at=LONG_AGO)],
        on_conflict="update",
        key=["agent_id"],
    )

    assert agents(session)[0].updated_at == session.scalar(select(func.now()))


def test_objects_that_the_session_holds_show_what_an_upsert_changed(session: Session) -> None:
    bulk_load(session, AgentDefinition, [agent(1)])
    (held,) = agents(session)

    bulk_load(session, AgentDefinition, [agent(1, agent_name="New")], on_conflict="update", key=["agent_id"])

    assert (held.agent_name, held.version) == ("New", 2)


@pytest.mark.parametrize("key", [None, ["agent_id"]])
def test_ignoring_leaves_what_is_there_as_it_is(session: Session, key: list[str] | None) -> None:
    bulk_load(session, AgentDefinition, [agent(1)])

    loaded = bulk_load(
        session, AgentDefinition, [agent(1, agent_name="New"), agent(2)], on_conflict="ignore", key=key
    )

    assert loaded == Loaded("agent_definitions", count=1, skipped=1)
    assert [(one.agent_name, one.version) for one in agents(session)] == [("Agent 1", 1), ("Agent 2", 1)]


def test_a_webhook_that_comes_twice_is_stored_once(session: Session) -> None:
    onboarding = uuid4()
    bulk_load(session, OnboardingSession, [{"id": onboarding, "external_reference": "x"}])
    event = {"session_id": onboarding, "event_type": "e", "source": "webhook", "external_event_id": "1"}

    loaded = bulk_load(
        session, OnboardingEvent, [event, event], on_conflict="ignore", key=["external_event_id"]
    )

    assert (loaded.count, loaded.skipped) == (1, 1)


def test_an_upsert_that_means_a_row_twice_is_refused(session: Session) -> None:
    rows = [agent(1), agent(2), agent(1, agent_name="Other")]

    with pytest.raises(BadRows) as raised:
        bulk_load(session, AgentDefinition, rows, on_conflict="update", key=["agent_id"])

    assert [str(problem) for problem in raised.value.problems] == [
        "row 3: has the same (tenant_id, agent_id) as row 1 of the input"
    ]
    assert agents(session) == []


def test_another_constraint_than_the_key_is_still_a_failure(session: Session) -> None:
    bulk_load(session, User, [{"username": "ann", "email": "a@b.c"}])

    with pytest.raises(BadRows, match=r"row 1: has the same \(tenant_id, email\) as an existing row"):
        bulk_load(
            session,
            User,
            [{"username": "bob", "email": "A@B.C"}],
            on_conflict="update",
            key=["username"],
        )


@pytest.mark.parametrize("block", [1, 100])
def test_the_rows_of_an_upsert_bring_the_same_columns(session: Session, block: int) -> None:
    """Else it would have to guess whether a column that is missing keeps its value or gets the default."""
    for rows in ([agent(1), agent(2, enabled=False)], [agent(1, enabled=False), agent(2)]):
        with pytest.raises(BadRows, match=r"row [12]: enabled"):
            bulk_load(session, AgentDefinition, rows, on_conflict="update", key=["agent_id"], block=block)

    assert agents(session) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"on_conflict": "replace"}, "on_conflict='replace' is unknown"),
        ({"on_conflict": "update"}, "needs a key to identify the row to update"),
        ({"key": ["agent_id"]}, "on_conflict='error' does not look for them"),
        ({"on_conflict": "update", "key": "agent_id"}, "'key' is a string"),
        ({"on_conflict": "update", "key": ["nothing"]}, "has no column 'nothing'"),
        (
            {"on_conflict": "update", "key": ["agent_name"]},
            r"No unique constraint of .* columns \(agent_name\)",
        ),
        (
            {"on_conflict": "update", "key": ["agent_id", "agent_name"]},
            r"No unique constraint of .* \(agent_id, agent_name\)",
        ),
        ({"on_conflict": "ignore", "key": []}, r"No unique constraint of .* columns \(\)"),
    ],
)
def test_a_key_that_is_none_is_refused(session: Session, options: Any, reason: str) -> None:
    with pytest.raises(WrongCall, match=reason):
        bulk_load(session, AgentDefinition, [agent(1)], **options)


def test_an_upsert_of_nothing_but_the_key_is_refused(session: Session) -> None:
    with pytest.raises(WrongCall, match="set only their key"):
        bulk_load(session, Incident, [{"id": uuid4()}], on_conflict="update", key=["id"])


def test_a_unique_index_is_a_key_and_a_partial_one_is_not(session: Session) -> None:
    table = Incident.__table__
    indexes = [
        Index("uq_whole", table.c.tenant_id, table.c.title, unique=True),
        Index(
            "uq_part", table.c.tenant_id, table.c.raw_text, unique=True, postgresql_where=text("severity = 5")
        ),
    ]
    try:
        session.execute(text("RESET ROLE"))
        session.execute(text("CREATE UNIQUE INDEX uq_whole ON incidents (tenant_id, title)"))
        session.execute(text("SET LOCAL ROLE dbschema_app"))
        for severity in (1, 2):
            row = {"domain_id": "d", "title": "t", "severity": severity}
            bulk_load(session, Incident, [row], on_conflict="update", key=["title"])
        with pytest.raises(WrongCall, match="No unique constraint"):
            bulk_load(session, Incident, [{"raw_text": "t"}], on_conflict="update", key=["raw_text"])
    finally:
        table.indexes.difference_update(indexes)  # type: ignore[attr-defined]  # a Table

    assert session.scalars(select(Incident.severity)).all() == [2]


def test_keys_of_two_tenants_are_two(
    session: Session, acting: Callable[..., None], mine: UUID, theirs: UUID
) -> None:
    bulk_load(session, AgentDefinition, [agent(1)])
    acting(theirs)

    loaded = bulk_load(session, AgentDefinition, [agent(1)], on_conflict="ignore", key=["agent_id"])

    assert loaded == Loaded("agent_definitions", count=1)
