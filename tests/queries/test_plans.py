"""Each query finds its rows by the index that its docstring names, as the application's role under the policy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import with_loader_criteria

from dbschema import tenant_session
from dbschema.models import Document, Incident
from dbschema.models.conversations import DOCUMENT_WORDS
from dbschema.orm.geography import GeoPoint
from dbschema.orm.mixins import TenantScoped
from dbschema.queries import DistanceCursor, TimeCursor, audit, conversations, incidents
from dbschema.queries.documents import with_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine, Select

BERN = GeoPoint(7.4474, 46.948)
AREA = {"type": "Polygon", "coordinates": [[(7, 46.5), (7.1, 46.5), (7.1, 46.6), (7, 46.5)]]}
NOON = TimeCursor(datetime(2026, 1, 1, 3, tzinfo=UTC), UUID(int=1 << 127))
SINCE = datetime(2026, 1, 1, 1, tzinfo=UTC)
CONVERSATION = UUID("00000000-0000-7000-8000-000000000007")
QUERIES: dict[str, tuple[Select[Any], str]] = {
    "near": (incidents.near(BERN, within=5000, limit=20), "idx_incidents_location"),
    "near, none there": (incidents.near(GeoPoint(100, 10), within=500), "idx_incidents_location"),
    "near, later": (
        incidents.near(BERN, within=50_000, after=DistanceCursor(3000.0, NOON.id)),
        "idx_incidents_location",
    ),
    "near, filtered": (
        incidents.near(BERN, within=50_000, status="open", since=SINCE),
        "idx_incidents_location",
    ),
    "box": (incidents.in_box(7, 46.5, 7.1, 46.6), "idx_incidents_location"),
    "box, later": (incidents.in_box(7, 46.5, 7.1, 46.6, after=NOON), "idx_incidents_location"),
    "area": (incidents.in_area(AREA), "idx_incidents_location"),
    "area, later": (incidents.in_area(AREA, after=NOON), "idx_incidents_location"),
    "data": (incidents.by_data({"code": 7}), "idx_incidents_structured_data"),
    "data, later": (incidents.by_data({"code": 7}, after=NOON), "idx_incidents_structured_data"),
    "newest": (incidents.newest(), "idx_incidents_created_at"),
    "newest, later": (incidents.newest(after=NOON), "idx_incidents_created_at"),
    "domain": (incidents.by_domain("domain-3", since=SINCE), "idx_incidents_tenant_domain"),
    "domain, later": (incidents.by_domain("domain-3", after=NOON), "idx_incidents_tenant_domain"),
    "category": (incidents.by_category("c7"), "idx_incidents_category"),
    "category, later": (incidents.by_category("c7", after=NOON), "idx_incidents_category"),
    "words": (with_words("w17 w4"), "idx_documents_words"),
    "words, later": (with_words("w17", after=NOON), "idx_documents_words"),
    "messages": (conversations.messages(CONVERSATION), "idx_messages_conversation"),
    "messages, later": (conversations.messages(CONVERSATION, after=NOON), "idx_messages_conversation"),
    "trail": (audit.trail("incident", "7"), "idx_audit_logs_resource"),
    "trail, later": (audit.trail("incident", "7", after=NOON), "idx_audit_logs_resource"),
}
each_query = pytest.mark.parametrize(("query", "index"), QUERIES.values(), ids=QUERIES)
each_tenant = pytest.mark.parametrize("tenant", ["large", "small"])
either_plan = pytest.mark.parametrize("generic", [False, True], ids=["custom plan", "generic plan"])


@each_query
@each_tenant
@either_plan
def test_a_query_uses_its_index_under_the_policy(
    acting: Callable[..., Connection],
    assert_uses_index: Callable[..., None],
    *,
    tenant: str,
    query: Select[Any],
    index: str,
    generic: bool,
) -> None:
    assert_uses_index(acting(tenant), query, index, generic=generic)


@pytest.mark.parametrize("query", [query for query, _ in QUERIES.values()], ids=QUERIES)
@either_plan
def test_a_tenant_without_rows_reads_nothing_of_the_others(
    acting: Callable[..., Connection],
    plans: Callable[..., list[dict[str, Any]]],
    nodes: Callable[..., Iterator[dict[str, Any]]],
    query: Select[Any],
    generic: bool,
) -> None:
    """Any index that begins with the tenant is as good as another then, and one that does not reads all there is."""
    everything = list(nodes(plans(acting("without rows"), query, generic=generic)))

    scans = [node for node in everything if "Index Name" in node]

    assert scans
    assert all("tenant_id" in node["Index Cond"] for node in scans)
    assert not [node for node in everything if node["Node Type"] == "Seq Scan"]


@each_query
def test_a_query_uses_its_index_where_the_session_adds_the_tenant(
    acting: Callable[..., Connection],
    ids: dict[str, UUID],
    assert_uses_index: Callable[..., None],
    query: Select[Any],
    index: str,
) -> None:
    """As a session of a tenant does, so that a distributed database knows whom to ask."""
    large = ids["large"]
    routed = query.options(
        with_loader_criteria(TenantScoped, lambda model: model.tenant_id == large, include_aliases=True)
    )

    assert_uses_index(acting("large"), routed, index)


@pytest.mark.parametrize(
    "query",
    [QUERIES[name][0] for name in ("newest, later", "messages, later", "category, later")],
    ids=["newest", "messages", "category"],
)
def test_a_later_page_begins_where_the_last_one_ended(
    acting: Callable[..., Connection],
    plans: Callable[..., list[dict[str, Any]]],
    nodes: Callable[..., Iterator[dict[str, Any]]],
    query: Select[Any],
) -> None:
    """The key of the last row is a bound of the index, not a filter on all that stands before it."""
    found = plans(acting("large"), query)

    bounds = [node["Index Cond"] for node in nodes(found) if "Index Cond" in node]

    assert any("created_at" in bound for bound in bounds), bounds


@pytest.mark.parametrize(
    ("naive", "index"),
    [
        (
            select(Incident).where(func.ST_DWithin(Incident.location, BERN, 500)).limit(5),
            "idx_incidents_location",
        ),
        (
            select(Incident).where(Incident.structured_data.op("@>")(literal({"code": 7}, JSONB()))).limit(5),
            "idx_incidents_structured_data",
        ),
        (
            select(Document).where(
                text(f"{DOCUMENT_WORDS.format('documents.')} @@ websearch_to_tsquery('simple', 'w17')")
            ),
            "idx_documents_words",
        ),
    ],
    ids=["place", "data", "words"],
)
def test_the_same_as_one_would_write_it_does_not(
    acting: Callable[..., Connection], naive: Select[Any], index: str, assert_uses_index: Callable[..., None]
) -> None:
    """Else the functions of the database would be there for nothing."""
    with pytest.raises(AssertionError, match=index):
        assert_uses_index(acting("large"), naive, index)


def test_a_session_of_a_tenant_states_the_tenant_in_a_search_too(
    filled: Engine, ids: dict[str, UUID]
) -> None:
    """The rows of a function are an alias of the model, and the session's condition reaches it."""
    with tenant_session(filled, ids["small"]) as session:
        found = session.execute(QUERIES["near"][0]).all()
        newest = session.scalars(QUERIES["newest"][0]).all()

    assert {item.tenant_id for item, _ in found} | {item.tenant_id for item in newest} == {ids["small"]}
