"""New objects get the tenant of their session; those of another are refused before any SQL."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError, NoResultFound
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, make_transient, mapped_column

from dbschema.models import ImageEvidence, Incident, Tenant, User
from dbschema.sessions import tenant_session
from dbschema.sessions.errors import BadIdentity, ForeignTenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


class Own(DeclarativeBase):
    pass


class Country(Own):
    """Of no tenant."""

    __tablename__ = "countries"

    code: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is sent to the server."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def test_a_new_object_gets_the_tenant_when_it_is_added(engine: Engine) -> None:
    tenant_id = uuid4()
    incident = Incident(domain_id="roads", title="new")

    with tenant_session(engine, tenant_id) as session:
        session.add(incident)

        assert incident.tenant_id == tenant_id


def test_what_comes_along_with_it_too(engine: Engine) -> None:
    tenant_id = uuid4()
    image = ImageEvidence(s3_bucket="b", s3_key="k", content_type="image/png", byte_size=1)
    incident = Incident(domain_id="roads", title="new", images=[image])

    with tenant_session(engine, tenant_id) as session:
        session.add(incident)

        assert image.tenant_id == tenant_id


def test_a_tenant_itself_gets_the_id(engine: Engine) -> None:
    tenant_id = uuid4()

    with tenant_session(engine, tenant_id) as session, session.begin():
        session.add(Tenant(tenant_name="Bern", slug=f"b{tenant_id.hex}"))

    with tenant_session(engine, tenant_id) as session:
        assert session.scalars(select(Tenant)).one().id == tenant_id


def test_the_tenant_may_be_given_as_well_by_its_own_name(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, str(mine.id).upper()) as session:
        session.add(Incident(tenant_id=mine.id, domain_id="roads", title="third"))
        session.flush()


def test_an_object_of_another_tenant_is_refused_before_any_sql(
    engine: Engine, mine: Any, theirs: Any, statements: list[str]
) -> None:
    with tenant_session(engine, mine.id) as session:
        with pytest.raises(ForeignTenant, match=f"Incident belongs to tenant {theirs.id}") as caught:
            session.add(Incident(tenant_id=theirs.id, domain_id="roads", title="third"))

        assert list(session.new) == []

    assert (caught.value.entity, caught.value.tenant_id) == ("Incident", theirs.id)
    assert caught.value.session_tenant_id == mine.id
    assert statements == []


def test_another_tenant_itself_is_refused(engine: Engine, mine: Any, statements: list[str]) -> None:
    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant):
        session.add(Tenant(id=uuid4(), tenant_name="Bern", slug="bern"))

    assert statements == []


def test_one_that_became_anothers_after_it_was_added_is_refused_at_the_flush(
    engine: Engine, mine: Any, theirs: Any, statements: list[str]
) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = Incident(domain_id="roads", title="third")
        session.add(incident)
        incident.tenant_id = theirs.id

        with pytest.raises(ForeignTenant):
            session.flush()

    assert statements == []


def test_one_that_comes_along_is_refused(engine: Engine, mine: Any, theirs: Any) -> None:
    image = ImageEvidence(
        tenant_id=theirs.id, s3_bucket="b", s3_key="k", content_type="image/png", byte_size=1
    )

    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant, match="ImageEvidence"):
        session.add(Incident(domain_id="roads", title="new", images=[image]))


def test_another_tenant_that_it_is_linked_to_is_refused(engine: Engine, mine: Any) -> None:
    incident = Incident(domain_id="roads", title="x", tenant=Tenant(id=uuid4(), tenant_name="B", slug="b"))

    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant, match="Tenant belongs"):
        session.add(incident)


@pytest.mark.parametrize("disguised", [False, True], ids=["as it is", "with its tenant written over"])
def test_a_stored_object_of_another_session_is_refused_for_another_tenant(
    engine: Engine, mine: Any, theirs: Any, disguised: bool, statements: list[str]
) -> None:
    with tenant_session(engine, theirs.id) as session:
        incident = session.get_one(Incident, theirs.incidents[0])
        session.expunge(incident)
    if disguised:
        incident.tenant_id = mine.id
    statements.clear()

    with tenant_session(engine, mine.id) as session:
        for attach in (session.add, session.delete, session.merge, lambda found: session.merge_all([found])):
            with pytest.raises(ForeignTenant):
                attach(incident)

    assert statements == []


def test_an_expired_object_is_known_by_its_key(engine: Engine, mine: Any, theirs: Any) -> None:
    with tenant_session(engine, theirs.id) as session:
        incident = session.get_one(Incident, theirs.incidents[0])
        session.expire(incident)
        session.expunge(incident)

    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant):
        session.add(incident)


def test_an_object_that_is_in_another_session_is_refused(engine: Engine, place: Any, mine: Any) -> None:
    with tenant_session(engine, mine.id) as first:
        incident = Incident(domain_id="roads", title="third")
        first.add(incident)
        with tenant_session(engine, mine.id) as second, pytest.raises(InvalidRequestError, match="already"):
            second.add(incident)


def test_a_merge_of_another_tenants_object_is_refused_before_any_sql(
    engine: Engine, mine: Any, theirs: Any, statements: list[str]
) -> None:
    foreign = Incident(tenant_id=theirs.id, id=theirs.incidents[0], domain_id="roads", title="mine now")

    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant):
        session.merge(foreign)

    assert statements == []


def test_a_merge_of_what_hangs_on_it_is_refused_too(engine: Engine, mine: Any, theirs: Any) -> None:
    image = ImageEvidence(
        tenant_id=theirs.id, id=uuid4(), s3_bucket="b", s3_key="k", content_type="image/png", byte_size=1
    )
    incident = Incident(tenant_id=mine.id, id=mine.incidents[0], domain_id="roads", title="x", images=[image])

    with tenant_session(engine, mine.id) as session, pytest.raises(ForeignTenant, match="ImageEvidence"):
        session.merge(incident)


def test_a_merge_of_an_own_object_changes_the_stored_one(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session, session.begin():
        session.merge(Incident(tenant_id=mine.id, id=mine.incidents[0], domain_id="roads", title="merged"))

    with tenant_session(engine, mine.id) as session:
        assert session.get_one(Incident, mine.incidents[0]).title == "merged"


def test_the_tenant_of_a_stored_object_cannot_be_changed(
    engine: Engine, mine: Any, theirs: Any, statements: list[str]
) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = session.get_one(Incident, mine.incidents[0])
        statements.clear()
        incident.tenant_id = theirs.id

        with pytest.raises(ForeignTenant, match=f"was changed from {mine.id} to {theirs.id}") as caught:
            session.flush()

    assert (caught.value.entity, caught.value.tenant_id) == ("Incident", theirs.id)
    assert statements == []


def test_the_tenant_of_a_stored_object_cannot_be_taken_away(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        session.get_one(Incident, mine.incidents[0]).tenant_id = None  # type: ignore[assignment]  # a mistake

        with pytest.raises(ForeignTenant, match="was changed from"):
            session.flush()


def test_an_object_of_the_session_goes_to_a_later_session_of_the_same_tenant(
    engine: Engine, mine: Any
) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = session.get_one(Incident, mine.incidents[0])

    with tenant_session(engine, mine.id) as session, session.begin():
        session.add(incident)
        incident.title = "later"

    with tenant_session(engine, mine.id) as session:
        assert session.get_one(Incident, mine.incidents[0]).title == "later"


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_an_object_that_a_cache_has_kept_is_still_its_tenants(
    engine: Engine, mine: Any, theirs: Any, copied: Callable[[Incident], Incident]
) -> None:
    with tenant_session(engine, mine.id) as session:
        kept = copied(session.scalars(select(Incident).limit(1)).one())

    with tenant_session(engine, theirs.id) as session, pytest.raises(ForeignTenant):
        session.add(kept)
    with tenant_session(engine, mine.id) as session:
        session.add(kept)
        session.refresh(kept, ["images"])
        assert (kept.images, kept.tenant_id) == ([], mine.id)


def test_a_copy_for_another_tenant_is_a_new_object(engine: Engine, mine: Any, theirs: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        incident = session.get_one(Incident, mine.incidents[0])
        incident.domain_id, incident.title = "roads", "copy"
        session.expunge(incident)
    make_transient(incident)
    incident.tenant_id, incident.id = None, None  # type: ignore[assignment]  # as new

    with tenant_session(engine, theirs.id) as session:
        session.add(incident)
        session.flush()

        assert incident.tenant_id == theirs.id


def test_get_takes_the_id_alone_or_the_whole_key(engine: Engine, mine: Any) -> None:
    row = mine.incidents[0]

    with tenant_session(engine, mine.id) as session:
        found = session.get(Incident, row)
        assert found is not None
        assert found.id == row
        session.expunge_all()
        assert session.get(Incident, (mine.id, row)) is not None
        assert session.get(Incident, {"id": row}) is not None
        assert session.get(Incident, {"tenant_id": mine.id, "id": row}) is not None
        assert session.get_one(Incident, row).id == row
        assert session.get(Tenant, mine.id) is not None


def test_get_does_not_find_the_rows_of_others(engine: Engine, mine: Any, theirs: Any) -> None:
    row = theirs.incidents[0]

    with tenant_session(engine, mine.id) as session:
        assert session.get(Incident, row) is None
        assert session.get(Incident, (theirs.id, row)) is None
        assert session.get(Incident, {"tenant_id": theirs.id, "id": row}) is None
        assert session.get(Tenant, theirs.id) is None
        with pytest.raises(NoResultFound):
            session.get_one(Incident, row)


ROWS = [{"domain_id": "roads", "title": "bulk 1"}, {"domain_id": "roads", "title": "bulk 2"}]


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.execute(insert(Incident), ROWS),
        lambda session: session.execute(insert(Incident).returning(Incident), ROWS),
        lambda session: session.execute(insert(Incident).values(ROWS)),
        lambda session: [session.execute(insert(Incident).values(row)) for row in ROWS],
        lambda session: [session.execute(insert(Incident), row) for row in ROWS],
        lambda session: [session.execute(insert(Incident).values({Incident.domain_id: "roads", Incident.title: r["title"]})) for r in ROWS],
        lambda session: session.execute(select(Incident).from_statement(insert(Incident).values(ROWS).returning(Incident))),
        lambda session: session.bulk_insert_mappings(Incident, ROWS),
        lambda session: session.bulk_save_objects([Incident(**row) for row in ROWS]),
        lambda session: session.add_all([Incident(**row) for row in ROWS]),
    ],
)  # fmt: skip
def test_rows_that_are_inserted_in_bulk_get_the_tenant(engine: Engine, mine: Any, write: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        write(session)

        found = session.scalars(select(Incident).where(Incident.title.startswith("bulk"))).all()
        assert [row.tenant_id for row in found] == [mine.id] * 2


@pytest.mark.parametrize(
    "write",
    [
        lambda session, row: session.execute(insert(Incident), [ROWS[0], row]),
        lambda session, row: session.execute(insert(Incident).values([ROWS[0], row])),
        lambda session, row: session.execute(insert(Incident).values(row)),
        lambda session, row: session.execute(insert(Incident).values({Incident.tenant_id: row["tenant_id"]})),
        lambda session, row: session.execute(insert(Incident), row),
        lambda session, row: session.bulk_insert_mappings(Incident, [row]),
        lambda session, row: session.bulk_save_objects([Incident(**row)]),
        lambda session, row: session.bulk_update_mappings(Incident, [row]),
        lambda session, row: session.execute(update(Incident), [row]),
    ],
)
@pytest.mark.parametrize("kind", [UUID, str])
def test_rows_of_another_tenant_are_refused_before_any_sql(
    engine: Engine, theirs: Any, write: Any, kind: Any, statements: list[str]
) -> None:
    row = {**ROWS[0], "id": theirs.incidents[0], "tenant_id": kind(str(theirs.id))}
    statements.clear()

    with tenant_session(engine, uuid4()) as session, pytest.raises(ForeignTenant):
        write(session, row)

    assert statements == []


def test_the_policy_refuses_what_cannot_be_seen_before(engine: Engine, mine: Any, theirs: Any) -> None:
    """A tenant that SQL works out, INSERT … SELECT, and statements of Core."""
    foreign = text(f"'{theirs.id}'::uuid")
    values: dict[str, Any] = {"domain_id": "roads", "title": "x"}
    with tenant_session(engine, mine.id) as session:
        for statement in (
            insert(Incident).values(tenant_id=foreign, **values),
            insert(Incident).from_select(["domain_id", "title"], select(Incident.domain_id, Incident.title)),
            insert(Incident.__table__).values(tenant_id=theirs.id, **values),
            update(Incident).values(tenant_id=theirs.id).execution_options(synchronize_session=False),
        ):
            with pytest.raises(DBAPIError, match="row-level security"), session.begin_nested():
                session.execute(statement)


def test_rows_are_updated_in_bulk_by_their_id(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        session.execute(update(Incident), [{"id": row, "title": "changed"} for row in mine.incidents])
        session.bulk_update_mappings(Incident, [{"id": mine.incidents[0], "title": "twice"}])

        assert sorted(session.scalars(select(Incident.title))) == ["changed", "twice"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "'; DROP TABLE incidents; --",
        "00000000-0000-0000-0000-000000000000'; SET ROLE postgres; --",
        "{00000000-0000-0000-0000-000000000000}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        " 00000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-000000000000\n",
        "\u06600000000-0000-0000-0000-000000000000",
        None,
        7,
        b"0" * 16,
        "x" * 500,
    ],
)
def test_what_is_no_uuid_is_no_tenant(engine: Engine, given: Any) -> None:
    with pytest.raises(BadIdentity, match="is not the id of a tenant") as caught:
        tenant_session(engine, given)

    assert caught.value.value == given
    assert len(str(caught.value)) < 250


def test_a_uuid_that_prints_itself_otherwise_is_its_number(engine: Engine) -> None:
    class Evil(UUID):
        def __str__(self) -> str:
            return "' OR true; --"

    tenant_id = uuid4()

    with tenant_session(engine, Evil(int=tenant_id.int)) as session:
        assert session.scalar(text("SELECT current_setting('app.tenant_id')")) == str(tenant_id)


def test_a_plain_session_is_left_as_it_is(engine: Engine, mine: Any) -> None:
    """The listeners are those of tenant sessions alone."""
    incident = Incident(domain_id="roads", title="third")

    with Session(engine) as session:
        session.add(incident)

        assert incident.tenant_id is None
        session.expunge(incident)


def test_objects_of_no_tenant_are_nobodys_business(engine: Engine) -> None:
    with tenant_session(engine, uuid4()) as session:
        session.add(Country(code="CH"))
        with pytest.raises(DBAPIError, match='"countries" does not exist'):
            session.flush()


def test_a_user_of_the_tenant_is_linked_without_naming_the_tenant(engine: Engine, mine: Any) -> None:
    with tenant_session(engine, mine.id) as session:
        user = session.get_one(User, mine.user)
        session.add(Incident(domain_id="roads", title="third", created_by=user.id))
        session.flush()
