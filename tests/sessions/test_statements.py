"""The tenant stands in each statement of the ORM; and no statement, of Core or in text, gets around the policy."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    MetaData,
    case,
    delete,
    event,
    exists,
    func,
    insert,
    inspect,
    lambda_stmt,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.orm import (
    DeclarativeBase,
    Session,
    aliased,
    joinedload,
    selectinload,
    subqueryload,
    with_loader_criteria,
)

from dbschema.models import ImageEvidence, Incident, Tenant, User
from dbschema.orm.mixins import TenantScoped
from dbschema.sessions import TenantSession, create_engine, tenant_session
from dbschema.sql import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

Other = aliased(Incident)
INCIDENTS = Incident.__table__
SEEN = select(Incident.id).cte()
UNION = union_all(select(Incident), select(Incident)).subquery()


@pytest.fixture
def sent(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the server, with its parameters."""
    noted: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        noted.append((" ".join(statement.split()), parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield noted
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def session(engine: Engine, mine: Any, theirs: Any) -> Iterator[TenantSession]:
    """A session of a tenant beside another, whose rows look the same."""
    with tenant_session(engine, mine.id) as session:
        session.add(
            ImageEvidence(
                incident_id=mine.incidents[0], s3_bucket="b", s3_key="k", content_type="t", byte_size=1
            )
        )
        session.flush()
        session.expunge_all()
        yield session


# Each statement, and how often the tenant has to stand in it beside the composite keys.
STATEMENTS = {
    "entity": (select(Incident), 1),
    "columns": (select(Incident.id, Incident.title), 1),
    "count": (select(func.count()).select_from(Incident), 1),
    "alias": (select(Other.id), 1),
    "two aliases": (select(Other.id).join(Incident, Incident.title == Other.title), 2),
    "two tables": (select(Incident.id, User.id).where(User.id == Incident.created_by), 2),
    "outer join": (select(User.id).outerjoin(Incident, Incident.created_by == User.id), 2),
    "join over a relationship": (select(Incident.id).join(Incident.images), 2),
    "subquery": (select(select(Incident.id).subquery()), 1),
    "in": (select(Incident.id).where(Incident.created_by.in_(select(User.id))), 2),
    "exists": (select(Incident.id).where(select(1).where(User.id == Incident.created_by).exists()), 2),
    "exists of a select": (select(select(Incident).where(Incident.title == "x").exists()), 1),
    "common table expression of two tables": (
        select(select(Incident.id).join(User, User.id == Incident.created_by).cte()),
        2,
    ),
    "lateral": (select(User.id, select(Incident.id).where(Incident.created_by == User.id).lateral().c.id), 2),
    "union as an entity": (select(aliased(Incident, UNION)), 3),
    "scalar subquery": (select(select(func.count(Incident.id)).scalar_subquery()), 1),
    "common table expression": (select(SEEN), 1),
    "union": (union_all(select(Incident.id), select(User.id)), 2),
    "the tenant itself": (select(Tenant), 1),
    "tenant and user": (select(Tenant.slug, User.id).where(User.tenant_id == Tenant.id), 2),
    "update": (update(Incident).values(title="x"), 1),
    "update with returning": (update(Incident).values(title="x").returning(Incident.id), 1),
    "update from": (update(Incident).values(title=User.username).where(User.id == Incident.created_by), 2),
    "update from an alias": (update(Incident).values(title=Other.title).where(Other.id == Incident.id), 2),
    "update with a subquery as value": (
        update(Incident).values(
            title=select(User.username).where(User.id == Incident.created_by).scalar_subquery()
        ),
        2,
    ),
    "update where something exists": (
        update(Incident).values(title="x").where(exists().where(User.id == Incident.created_by)),
        2,
    ),
    "delete": (delete(Incident), 1),
    "delete using": (delete(Incident).where(User.id == Incident.created_by), 2),
    "delete with a subquery": (delete(Incident).where(Incident.created_by.in_(select(User.id))), 2),
    "exists alone": (select(exists().where(Incident.title == "x")), 1),
    "exists selected": (exists().where(Incident.title == "x").select(), 1),
    "exists in a condition": (
        select(Incident.id).where(exists().where(User.id == Incident.created_by)),
        2,
    ),
    "exists nowhere": (select(Incident.id).where(~exists().where(User.id == Incident.created_by)), 2),
    "exists in a case": (
        select(case((exists().where(User.id == Incident.created_by), 1), else_=0)).select_from(Incident),
        2,
    ),
    "any of a relationship": (select(Incident.id).where(Incident.images.any()), 2),
    "what an insert selects": (
        insert(Incident).from_select(
            ["tenant_id", "id", "domain_id", "title"],
            select(Incident.tenant_id, func.gen_random_uuid(), Incident.domain_id, Incident.title),
        ),
        1,
    ),
    "a value that an insert selects": (
        insert(Incident).values(
            domain_id="roads",
            title=func.coalesce(select(User.username).limit(1).scalar_subquery(), "nobody"),
        ),
        1,
    ),
    "what an insert of Core selects": (
        insert(INCIDENTS).from_select(
            ["tenant_id", "id", "domain_id", "title"],
            select(Incident.tenant_id, func.gen_random_uuid(), Incident.domain_id, Incident.title),
        ),
        1,
    ),
    "update in a common table expression": (
        select(update(Incident).values(title="x").returning(Incident.id).cte()),
        1,
    ),
    "what an update returns as objects": (
        select(Incident).from_statement(
            update(Incident).values(title="x").where(User.id == Incident.created_by).returning(Incident)
        ),
        2,
    ),
    "what a delete returns as objects": (
        select(Incident).from_statement(delete(Incident).returning(Incident)),
        1,
    ),
    "a lambda": (lambda_stmt(lambda: select(Incident)), 1),
}


@pytest.mark.parametrize(("statement", "times"), STATEMENTS.values(), ids=STATEMENTS)
def test_each_statement_names_the_tenant_for_each_of_its_tables(
    session: TenantSession, sent: list[tuple[str, Any]], statement: Any, times: int
) -> None:
    sent.clear()

    session.execute(statement)

    ((words, parameters),) = [
        item
        for item in sent
        if not item[0].startswith(("SELECT incidents.tenant_id, incidents.id FROM", "SET"))
    ]
    assert len(re.findall(r"= %\(tenant_id_\d\)s", words)) == times, words
    assert set(map(str, parameters.values())) >= {str(session.tenant_id)}


@pytest.mark.parametrize("load", [selectinload, joinedload, subqueryload])
def test_what_relationships_load_names_the_tenant(
    session: TenantSession, sent: list[tuple[str, Any]], load: Any
) -> None:
    sent.clear()

    found = session.scalars(select(Incident).options(load(Incident.images))).unique().all()

    assert sum(len(incident.images) for incident in found) == 1
    for words, parameters in sent:
        assert "tenant_id_" in words
        assert session.tenant_id in parameters.values()


def test_a_relationship_is_loaded_later_with_the_tenant(
    session: TenantSession, sent: list[tuple[str, Any]], mine: Any
) -> None:
    incident = session.get_one(Incident, mine.incidents[0])
    sent.clear()

    session.refresh(incident, ["images"])

    assert len(incident.images) == 1
    assert all(session.tenant_id in parameters.values() for _, parameters in sent)


def test_a_key_is_looked_up_without_saying_the_tenant_twice(
    session: TenantSession, sent: list[tuple[str, Any]], mine: Any
) -> None:
    sent.clear()

    session.get(Incident, mine.incidents[0])

    ((words, _),) = sent
    assert words.partition(" WHERE ")[2].count("tenant_id") == 1


@pytest.mark.parametrize("load", [selectinload, subqueryload])
def test_what_is_loaded_beside_a_row_that_is_looked_up_names_the_tenant(
    session: TenantSession, sent: list[tuple[str, Any]], mine: Any, load: Any
) -> None:
    sent.clear()

    incident = session.get_one(Incident, mine.incidents[0], options=[load(Incident.images)])

    assert len(incident.images) == 1
    (_, (words, parameters)) = sent
    assert "tenant_id_" in words
    assert session.tenant_id in parameters.values()


def test_what_is_joined_to_a_row_that_is_looked_up_names_the_tenant(
    session: TenantSession, sent: list[tuple[str, Any]], mine: Any
) -> None:
    sent.clear()

    session.get_one(Incident, mine.incidents[0], options=[joinedload(Incident.images)])

    ((words, _),) = sent
    assert re.search(r"image_evidence_1\.tenant_id = %\(tenant_id_\d\)s", words)


def test_a_key_of_another_tenant_is_looked_up_for_the_own_one(
    session: TenantSession, sent: list[tuple[str, Any]], mine: Any, theirs: Any
) -> None:
    sent.clear()

    found = session.get(Incident, (theirs.id, theirs.incidents[0]))

    assert found is None
    ((words, parameters),) = sent
    assert words.partition(" WHERE ")[2].count("tenant_id =") == 2
    assert mine.id in parameters.values()


def test_a_model_that_is_mapped_later_is_known(session: TenantSession, sent: list[tuple[str, Any]]) -> None:
    session.execute(select(Incident))

    class Own(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Late(TenantScoped, Own):
        __tablename__ = f"late_{uuid4().hex}"
        __tenant_reference__: ClassVar[None] = None

    sent.clear()
    with pytest.raises(DBAPIError, match="does not exist"):
        session.execute(select(Late))

    ((words, parameters),) = sent
    assert words.endswith(f"WHERE {Late.__tablename__}.tenant_id = %(tenant_id_1)s::UUID")
    assert list(parameters.values()) == [session.tenant_id]


def test_criteria_of_the_applications_own_stand_beside_the_tenant(session: TenantSession) -> None:
    own = with_loader_criteria(Incident, Incident.title == "first")

    assert len(session.scalars(select(Incident).options(own)).all()) == 1
    assert session.execute(update(Incident).values(title="second").options(own)).rowcount == 1


def test_objects_hold_nothing_of_the_session_that_loaded_them(session: TenantSession) -> None:
    for incident in session.scalars(select(Incident).options(selectinload(Incident.images))):
        assert [type(option).__module__ for option in inspect(incident).load_options] == [
            "sqlalchemy.orm.strategy_options"
        ]


def test_an_update_is_seen_in_the_objects_of_the_session(session: TenantSession) -> None:
    """SQLAlchemy works out in Python which objects a condition is true of, the tenant's among them."""
    found = session.scalars(select(Incident)).all()

    session.execute(
        update(Incident).values(title="changed").execution_options(synchronize_session="evaluate")
    )
    titles = [inspect(incident).dict.get("title", "expired") for incident in found]
    session.execute(delete(Incident).execution_options(synchronize_session="evaluate"))

    assert titles == ["changed", "changed"]
    assert all(inspect(incident).deleted for incident in found)


def test_the_old_query_of_the_orm_is_kept_too(session: TenantSession, mine: Any) -> None:
    assert session.query(Incident).count() == 2
    assert session.query(Incident).filter_by(title="first").update({"title": "changed"}) == 1
    assert session.query(Incident).filter_by(title="second").delete() == 1


def test_bulk_statements_touch_the_own_rows_only(
    session: TenantSession, superuser: Engine, theirs: Any
) -> None:
    assert session.execute(update(Incident).values(title="changed")).rowcount == 2
    assert session.execute(delete(ImageEvidence)).rowcount == 1
    assert session.execute(delete(Incident)).rowcount == 2
    session.commit()

    with superuser.connect() as connection:
        titles = select(INCIDENTS.c.title).where(INCIDENTS.c.tenant_id == theirs.id)
        assert sorted(connection.scalars(titles)) == ["first", "second"]


CORE = {
    "select": select(INCIDENTS.c.tenant_id),
    "text": text("SELECT tenant_id FROM incidents"),
    "text with OR": text("SELECT tenant_id FROM incidents WHERE tenant_id IS NULL OR true"),
    "update": update(INCIDENTS).values(title="changed").returning(INCIDENTS.c.tenant_id),
    "from a text": select(Incident).from_statement(text("SELECT * FROM incidents")),
    "a table in a subquery of the ORM": select(Tenant.id, Tenant).join(INCIDENTS, true()),
    "a table in exists()": select(Incident).where(
        select(INCIDENTS).where(INCIDENTS.c.id == Incident.id).exists()
    ),
    "join": select(INCIDENTS.c.tenant_id).join(User.__table__, User.__table__.c.tenant_id == INCIDENTS.c.tenant_id),
    "update from": update(INCIDENTS)
    .values(title="changed")
    .where(User.__table__.c.tenant_id == INCIDENTS.c.tenant_id)
    .returning(INCIDENTS.c.tenant_id),
    "union": union_all(select(INCIDENTS.c.tenant_id)),
}  # fmt: skip


# The model beside the table gets it.
NAMED_TOO = [CORE["a table in exists()"]]


@pytest.mark.parametrize("statement", CORE.values(), ids=CORE)
def test_what_is_not_of_the_orm_is_left_as_it_is_and_kept_by_the_policy(
    session: TenantSession, sent: list[tuple[str, Any]], statement: Any
) -> None:
    """If a statement gets the tenant one day, docs/sessions.md has to say so."""
    sent.clear()

    found = session.execute(statement).all()

    assert all("incidents.tenant_id = %" not in words for words, _ in sent) == (statement not in NAMED_TOO)
    tenants = {getattr(row[0], "tenant_id", row[0]) for row in found}
    assert (len(found), tenants) == (2, {session.tenant_id})


@pytest.mark.parametrize(
    "ask",
    [
        lambda condition: select(exists().where(condition)),
        lambda condition: exists().where(condition).select(),
        lambda condition: select(select(Incident).where(condition).exists()),
        lambda condition: select(exists(select(INCIDENTS).where(condition))),
    ],
)
def test_what_another_tenant_has_does_not_exist(
    session: TenantSession, mine: Any, theirs: Any, ask: Any
) -> None:
    assert session.scalar(ask(Incident.id == mine.incidents[0])) is True
    assert session.scalar(ask(Incident.id == theirs.incidents[0])) is False


def test_the_second_table_of_an_update_in_a_common_table_expression_is_kept_by_the_policy(
    session: TenantSession, sent: list[tuple[str, Any]]
) -> None:
    sent.clear()
    changed = update(Incident).values(title=User.username).where(User.id == Incident.created_by)

    session.execute(select(changed.returning(Incident.id).cte()))

    ((words, _),) = sent
    assert "incidents.tenant_id = %(tenant_id_1)s" in words
    assert "users.tenant_id" not in words


def test_an_insert_in_a_common_table_expression_has_to_name_its_tenant(session: TenantSession) -> None:
    new = insert(Incident).values(id=uuid4(), domain_id="roads", title="x")

    with (
        pytest.warns(SAWarning, match=r"incidents\.tenant_id"),
        pytest.raises(DBAPIError, match=r"row-level security|not-null"),
        session.begin_nested(),
    ):
        session.execute(select(new.returning(Incident.id).cte()))

    named = new.values(tenant_id=session.tenant_id).returning(Incident.id).cte()
    assert len(session.execute(select(named.c.id)).all()) == 1


def test_a_value_that_is_asked_for_within_an_insert_is_the_own_one(
    session: TenantSession, theirs: Any
) -> None:
    title = select(Incident.title).where(Incident.id == theirs.incidents[0]).scalar_subquery()

    session.execute(insert(Incident).values(domain_id="roads", raw_text=func.coalesce(title, "nothing")))

    assert session.scalar(select(Incident.raw_text).where(Incident.raw_text.is_not(None))) == "nothing"


def test_a_condition_on_another_tenant_finds_nothing(session: TenantSession, theirs: Any) -> None:
    assert session.execute(select(Incident).where(Incident.tenant_id == theirs.id)).all() == []
    assert session.execute(select(INCIDENTS).where(INCIDENTS.c.tenant_id == theirs.id)).all() == []
    assert session.execute(delete(INCIDENTS).where(INCIDENTS.c.tenant_id == theirs.id)).rowcount == 0


@pytest.mark.parametrize("hostile", ["' OR '1'='1", "'; SET app.tenant_id = '{theirs}'; --", '") OR true --'])
def test_a_string_of_a_user_stays_a_string(session: TenantSession, theirs: Any, hostile: str) -> None:
    words = hostile.replace("{theirs}", str(theirs.id))

    assert session.scalars(select(Incident).where(Incident.title == words)).all() == []
    assert session.scalars(select(Incident).where(Incident.structured_data[words].astext == "1")).all() == []
    session.add(Incident(domain_id="roads", title=words))
    session.flush()
    assert session.scalar(text("SELECT current_setting('app.tenant_id')")) == str(session.tenant_id)


def test_one_tenants_statement_is_not_taken_for_anothers(engine: Engine, mine: Any, theirs: Any) -> None:
    """Compiled statements are cached: the tenant is a parameter of them, never a part."""
    query = select(Incident).order_by(Incident.title)

    for customer in (mine, theirs, mine):
        with tenant_session(engine, customer.id) as session:
            assert {incident.tenant_id for incident in session.scalars(query)} == {customer.id}


def test_a_statement_of_a_plain_session_is_not_taken_for_one_of_a_tenants(
    engine: Engine, mine: Any, theirs: Any
) -> None:
    """They share the compiled statements of their engine."""
    query, sent = select(Incident.id).order_by(Incident.title), []
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append((given[2], given[3])))

    for customer in (None, mine, None, theirs, None):
        if customer is None:
            with Session(engine) as plain, pytest.raises(DBAPIError, match="permission denied"):
                plain.execute(query)
        else:
            with tenant_session(engine, customer.id) as session:
                assert set(session.scalars(query)) == set(customer.incidents)

    assert ["tenant_id" in words for words, _ in sent] == [False, True, False, True, False]
    assert [list(parameters.values()) for words, parameters in sent if parameters] == [[mine.id], [theirs.id]]


def test_a_statement_that_was_another_sessions_is_this_ones(engine: Engine, mine: Any, theirs: Any) -> None:
    """A listener of the application sees the statement as it will be executed, and may keep it."""
    kept, sent = [], []
    with tenant_session(engine, theirs.id) as session:
        event.listen(session, "do_orm_execute", lambda state: kept.append(state.statement))
        session.execute(select(Incident))
        session.get(Incident, theirs.incidents[0])
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[3]))

    with tenant_session(engine, mine.id) as session:
        found = session.scalars(kept[0]).all()
        looked_up = session.execute(kept[1], {"pk_1": theirs.id, "pk_2": theirs.incidents[0]}).all()

    assert {incident.tenant_id for incident in found} == {mine.id}
    assert looked_up == []
    assert [mine.id in parameters.values() for parameters in sent] == [True, True]
    assert list(sent[0].values()) == [mine.id]


def test_tenants_in_threads_never_share_a_criterion(place: Any) -> None:
    """The same statements, compiled once and at the same moment by many: each is sent with the tenant of its own session."""
    engine = create_engine(place.url(), pool_size=4, max_overflow=0, pool_timeout=60, query_cache_size=8)
    sent: list[tuple[UUID, tuple[Any, ...]]] = []
    current = threading.local()

    def note(_connection: Any, _cursor: Any, words: str, parameters: Any, *_: Any) -> None:
        if "tenant_id_" in words:
            sent.append((current.tenant_id, tuple(parameters[n] for n in parameters if "tenant_id" in n)))

    event.listen(engine, "before_cursor_execute", note)
    statements: list[Callable[[], Any]] = [
        lambda: select(Incident).options(selectinload(Incident.images)),
        lambda: select(Incident).options(joinedload(Incident.images)).limit(3),
        lambda: select(Other.id).join(Incident, Incident.title == Other.title),
        lambda: select(exists().where(Incident.title == "x")),
        lambda: select(select(Incident.id).cte()),
        lambda: union_all(select(Incident.id), select(User.id)),
        lambda: update(Incident).values(title="x").where(User.id == Incident.created_by),
        lambda: delete(Incident).where(Incident.created_by.in_(select(User.id))),
    ]
    start = threading.Barrier(8)

    def work(tenant_id: UUID) -> None:
        current.tenant_id = tenant_id
        start.wait()
        for number in range(40):
            with tenant_session(engine, tenant_id) as session:
                session.execute(statements[number % len(statements)]())

    tenants = [uuid4() for _ in range(8)]
    with ThreadPoolExecutor(len(tenants)) as pool:
        for done in [pool.submit(work, tenant_id) for tenant_id in tenants]:
            done.result()
    engine.dispose()

    assert len(sent) >= 8 * 40
    assert {tenant_id for tenant_id, _ in sent} == set(tenants)
    assert all(set(values) == {tenant_id} for tenant_id, values in sent)


def test_a_foreign_key_tells_nothing_of_anothers_row(session: TenantSession, theirs: Any) -> None:
    """The key is composite: an id of another tenant's row is as unknown as one that nobody has."""
    told = []
    for row in (theirs.user, uuid4()):
        with pytest.raises(DBAPIError) as caught, session.begin_nested():
            session.execute(
                insert(INCIDENTS).values(
                    tenant_id=session.tenant_id, id=uuid4(), domain_id="a", title="b", created_by=row
                )
            )
        told.append(str(caught.value.orig).replace(str(row), "…"))

    assert told[0] == told[1]


def test_the_policy_of_operators_costs_an_application_nothing(session: TenantSession) -> None:
    """Policies of other roles are no part of the plan."""
    plan = "\n".join(session.scalars(text("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM incidents")))

    assert "tenant_id = " in plan
    assert " OR " not in plan
    assert "true" not in plan.replace("'app.tenant_id'::text, true", "")
