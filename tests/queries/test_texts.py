"""Documents by their words, messages in order, and the audit trail of a thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.orm import Session

from dbschema.models import AuditLog, Conversation, Document, Message, MessageRole, Tenant, User
from dbschema.queries import TimeCursor, audit, conversations
from dbschema.queries.documents import with_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Select

MINE, THEIRS = uuid4(), uuid4()
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def session(connection: Connection, act: Callable[..., Connection]) -> Session:
    """A session of a tenant, with a user; another tenant has the same."""
    for key in (MINE, THEIRS):
        connection.execute(insert(Tenant).values(id=key, tenant_name="x", slug=key.hex[:20]))
        connection.execute(insert(User).values(tenant_id=key, id=key, username="u", email="u@example.com"))
        connection.execute(
            insert(Document),
            [
                {
                    "tenant_id": key,
                    "user_id": key,
                    "title": f"Report {number}",
                    "content": f"Water on the main street, {number} cm",
                    "created_at": START + timedelta(seconds=number // 5),
                }
                for number in range(30)
            ],
        )
        connection.execute(insert(Conversation).values(tenant_id=key, id=key, user_id=key))
        connection.execute(
            insert(Message),
            [
                {
                    "tenant_id": key,
                    "conversation_id": key,
                    "role": MessageRole.USER,
                    "content": str(number),
                    "created_at": START + timedelta(seconds=number // 5),
                }
                for number in range(30)
            ],
        )
        connection.execute(
            insert(AuditLog),
            [
                {
                    "tenant_id": key,
                    "action": "a",
                    "resource_type": "incident",
                    "resource_id": str(number % 2),
                    "created_at": START + timedelta(seconds=number // 8),
                }
                for number in range(60)
            ],
        )
    return Session(act(connection, MINE))


def pages(session: Session, query: Callable[..., Select[Any]], *arguments: Any) -> list[Any]:
    found: list[Any] = []
    after = None
    while page := session.scalars(query(*arguments, limit=7, after=after)).all():
        found += page
        after = str(TimeCursor.of(page[-1]))
    return found


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("water", 30),
        ("WATER Street", 30),
        ('"main street"', 30),
        ('"street main"', 0),
        ("water -street", 0),
        ("fire or 17", 1),
        ("report 17", 1),
        ("wat", 0),
        ("", 0),
    ],
)
def test_documents_are_found_by_words_as_search_engines_take_them(
    session: Session, words: str, count: int
) -> None:
    found = session.scalars(with_words(words)).all()

    assert len(found) == count
    assert all(item.tenant_id == MINE for item in found)


def test_pages_of_documents_give_each_once(session: Session) -> None:
    found = pages(session, with_words, "water")

    assert len({item.id for item in found}) == len(found) == 30
    assert [item.created_at for item in found] == sorted((item.created_at for item in found), reverse=True)


def test_documents_of_one_user_alone(session: Session) -> None:
    assert session.scalars(with_words("water", user_id=uuid4())).all() == []
    assert len(session.scalars(with_words("water", user_id=MINE)).all()) == 30


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), max_size=60))
@example("water \ud800 \0")
def test_no_words_whatever_are_an_error(session: Session, words: str) -> None:
    assert all(item.tenant_id == MINE for item in session.scalars(with_words(words)))


@pytest.mark.parametrize(
    "content",
    [
        " ".join(f"{number:x}" for number in range(400_000)),
        " ".join(chr(0x10400 + number % 80) + chr(0x10400 + number // 80) for number in range(6400)) * 40,
        "-".join(f"{number:x}" for number in range(100_000)),
        " ".join(f"www.{number:x}.org/{number:x}" for number in range(40_000)),
        "x" * 3_000_000,
    ],
    ids=["words", "four-byte letters", "compound", "addresses", "one word"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_document_of_any_length_is_taken(session: Session, content: str) -> None:
    """An index over all of it would refuse what has more than a megabyte of words."""
    session.add(Document(tenant_id=MINE, user_id=MINE, title="x" * 100_000, content=content))

    session.flush()

    assert len(session.scalars(with_words("water")).all()) == 30


def test_messages_come_in_order(session: Session) -> None:
    found = pages(session, conversations.messages, MINE)

    assert [item.id for item in found] == [
        item.id for item in sorted(found, key=lambda item: (item.created_at, item.id))
    ]
    assert sorted(int(item.content) for item in found) == list(range(30))


def test_messages_of_another_tenants_conversation_are_none(session: Session) -> None:
    assert session.scalars(conversations.messages(THEIRS)).all() == []


def test_the_trail_of_a_thing_comes_newest_first(session: Session) -> None:
    found = pages(session, audit.trail, "incident", "1")

    assert len({item.id for item in found}) == len(found) == 30
    assert [item.id for item in found] == [
        item.id for item in sorted(found, key=lambda item: (-item.created_at.timestamp(), item.id))
    ]
    assert {(item.tenant_id, item.resource_id) for item in found} == {(MINE, "1")}


def test_a_later_page_of_nothing_is_nothing(session: Session) -> None:
    after = TimeCursor(START - timedelta(days=1), UUID(int=0))

    assert session.scalars(with_words("water", after=after)).all() == []
    assert session.scalars(audit.trail("incident", "1", after=after)).all() == []
