"""Rows come in many forms and arrive as the ORM would have written them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Text, create_engine, func, select, text

from dbschema import Loaded, bulk_load
from dbschema.errors import NoTransaction
from dbschema.loading import BadRows, Progress
from dbschema.loading.errors import WrongCall
from dbschema.models import (
    AuditLog,
    Document,
    GeoPoint,
    Incident,
    IncidentStatus,
    RoleMetricVisibility,
    User,
    UserRole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def incidents(session: Session) -> list[Incident]:
    return list(session.scalars(select(Incident).order_by(Incident.title)))


def test_mappings_arrive_with_tenant_id_and_defaults(session: Session, mine: UUID) -> None:
    rows = [{"domain_id": "d", "title": f"{n}", "location": (7.4, 46.9)} for n in range(3)]

    loaded = bulk_load(session, Incident, rows)

    found = incidents(session)
    assert loaded == Loaded("incidents", count=3, skipped=0)
    assert [incident.title for incident in found] == ["0", "1", "2"]
    assert {incident.tenant_id for incident in found} == {mine}
    assert all(incident.id.version == 7 for incident in found)
    assert found[0].location == GeoPoint(7.4, 46.9)
    assert (found[0].status, found[0].structured_data) == (IncidentStatus.OPEN, {})
    assert found[0].created_at == session.scalar(select(func.now()))


def test_instances_of_the_model_arrive(session: Session) -> None:
    rows = [
        Incident(domain_id="d", title="a", status="closed"),
        Incident(domain_id="d", title="b", severity=3),
    ]

    bulk_load(session, Incident, rows)

    assert [(one.status.value, one.severity) for one in incidents(session)] == [("closed", None), ("open", 3)]
    assert not session.new


def test_tuples_arrive_by_the_names_of_their_columns(session: Session) -> None:
    bulk_load(
        session, Incident, (("d", str(n), n) for n in (1, 2)), columns=["domain_id", "title", "severity"]
    )

    assert [(one.title, one.severity) for one in incidents(session)] == [("1", 1), ("2", 2)]


def test_lists_are_tuples_too(session: Session) -> None:
    assert bulk_load(session, Incident, [["d"], ["e"]], columns=["domain_id"]).count == 2


def test_attributes_and_columns_are_both_names(session: Session, user: UUID) -> None:
    bulk_load(session, Document, [{"user_id": user, "title": "a", "content": "", "metadata_": {"x": 1}}])
    bulk_load(session, Document, [{"user_id": user, "title": "b", "content": "", "metadata": {"x": 2}}])

    found = session.scalars(select(Document).order_by(Document.title)).all()
    assert [document.metadata_ for document in found] == [{"x": 1}, {"x": 2}]


@pytest.fixture
def user(session: Session, mine: UUID) -> UUID:
    bulk_load(session, User, [{"username": "ann", "email": "Ann@Example.com"}])
    found = session.scalar(select(User.id))
    assert isinstance(found, UUID)
    return found


def test_values_become_what_an_assignment_would_make_of_them(session: Session, user: UUID) -> None:
    bulk_load(session, RoleMetricVisibility, [{"role": "ADMIN", "metric_name": "m"}])

    assert session.scalar(select(User.email)) == "ann@example.com"
    assert session.scalar(select(RoleMetricVisibility.role)) is UserRole.ADMIN


def test_no_rows_are_nothing(session: Session) -> None:
    assert bulk_load(session, Incident, []) == Loaded("incidents", 0)
    assert bulk_load(session, Incident, iter(())).count == 0


def test_a_row_that_omits_a_column_gets_its_default_and_none_is_null(session: Session) -> None:
    """Also where the first rows omit it, or only rows in the middle of a block do."""
    rows: list[dict[str, Any]] = [
        {"domain_id": "d", "title": "a"},
        {"domain_id": "d", "title": "b", "status": "closed", "created_at": NOON},
        {"domain_id": "d", "title": "c", "severity": None, "status": "resolved"},
        {"domain_id": "d", "title": "d", "structured_data": {"k": 1}},
        {"title": "e", "domain_id": "d"},
    ]
    for block in (1, 2, 100):
        savepoint = session.begin_nested()

        bulk_load(session, Incident, rows, block=block)

        found = incidents(session)
        now = session.scalar(select(func.now()))
        assert [one.status.value for one in found] == ["open", "closed", "resolved", "open", "open"]
        assert [one.created_at for one in found] == [now, NOON, now, now, now]
        assert [one.structured_data for one in found] == [{}, {}, {}, {"k": 1}, {}]
        savepoint.rollback()


def test_an_explicit_null_is_no_default(session: Session) -> None:
    with pytest.raises(BadRows) as raised:
        bulk_load(session, Incident, [{"domain_id": "d", "status": None}])

    assert [(problem.row, problem.column) for problem in raised.value.problems] == [(1, "status")]


def test_an_id_that_is_given_stands(session: Session) -> None:
    given = uuid4()

    bulk_load(session, Incident, [{"id": str(given), "domain_id": "d"}, {"domain_id": "e"}])

    ids = set(session.scalars(select(Incident.id)))
    assert len(ids) == 2
    assert given in ids


def test_rows_of_an_append_only_table_are_added(session: Session) -> None:
    rows = [{"action": "a", "resource_type": "r", "ip_address": "2001:db8::1"}]

    assert bulk_load(session, AuditLog, rows).count == 1


def test_objects_that_wait_in_the_session_are_written_first(session: Session, mine: UUID) -> None:
    ann = User(tenant_id=mine, id=uuid4(), username="ann", email="a@b.c")
    session.add(ann)

    bulk_load(session, Incident, [{"domain_id": "d", "created_by": ann.id}])

    assert incidents(session)[0].created_by == ann.id


def test_the_session_goes_on_in_the_same_transaction(session: Session) -> None:
    before = session.scalar(select(func.pg_current_xact_id().cast(Text())))

    bulk_load(session, Incident, [{"domain_id": "d"}])
    bulk_load(session, Incident, [{"domain_id": "d"}])

    assert session.scalar(select(func.pg_current_xact_id().cast(Text()))) == before
    assert len(incidents(session)) == 2


def test_nothing_stays_behind_in_the_session(session: Session) -> None:
    path = session.scalar(text("SHOW search_path"))

    bulk_load(session, Incident, [{"domain_id": "d"}])

    assert session.scalar(text("SHOW search_path")) == path
    assert not session.scalar(text("SELECT count(*) FROM pg_class WHERE relname LIKE 'dbschema_load%'"))


def test_a_connection_will_do(connection: Connection, session: Session) -> None:
    assert bulk_load(connection, Incident, [{"domain_id": "d"}]).count == 1


def test_a_temporary_table_of_the_same_name_gets_no_rows(session: Session) -> None:
    session.execute(text("CREATE TEMP TABLE incidents (LIKE public.incidents)"))

    bulk_load(session, Incident, [{"domain_id": "d"}])

    assert session.scalar(text("SELECT count(*) FROM pg_temp.incidents")) == 0
    assert session.scalar(text("SELECT count(*) FROM public.incidents")) == 1


def test_types_and_functions_of_the_callers_path_are_not_used(
    connection: Connection, session: Session, acting: Callable[..., None], mine: UUID
) -> None:
    """What stands in the way would have to be taken by the name alone."""
    connection.execute(text("RESET ROLE"))
    for statement in (
        "CREATE SCHEMA trap",
        "CREATE DOMAIN trap.geography AS text CHECK (false)",
        "CREATE FUNCTION trap.gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT 1/0; SELECT NULL::uuid'",
        "GRANT USAGE ON SCHEMA trap TO dbschema_app",
        "SET LOCAL search_path = trap, public",
    ):
        connection.execute(text(statement))
    acting(mine)

    loaded = bulk_load(session, Incident, [{"domain_id": "d", "location": (1.0, 2.0)}])

    assert loaded.count == 1


def test_the_schema_translate_map_counts(connection: Connection, session: Session) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text("CREATE SCHEMA other"))
    connection.execute(text("CREATE TABLE other.incidents (LIKE public.incidents INCLUDING ALL)"))
    elsewhere = connection.execution_options(schema_translate_map={None: "other"})

    bulk_load(elsewhere, Incident, [{"domain_id": "d"}])

    connection.execution_options(schema_translate_map={})
    assert connection.scalar(text("SELECT count(*) FROM other.incidents")) == 1
    assert connection.scalar(text("SELECT count(*) FROM public.incidents")) == 0


def test_progress_is_told(session: Session) -> None:
    told: list[Progress] = []
    rows = [{"domain_id": "d"}] * 5

    bulk_load(session, Incident, rows, block=2, on_progress=told.append)

    assert [(one.phase, one.rows, one.total) for one in told] == [
        ("sending", 2, 5),
        ("sending", 4, 5),
        ("sending", 5, 5),
        ("writing", 5, 5),
        ("done", 5, 5),
    ]


def test_a_stream_has_no_total(session: Session) -> None:
    told: list[Progress] = []

    bulk_load(session, Incident, ({"domain_id": "d"} for _ in range(2)), on_progress=told.append)

    assert {one.total for one in told} == {None}


class Terminal:
    """Standard error as a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.written = is_terminal, ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(("is_terminal", "asked"), [(True, True), (True, False), (False, True)])
def test_a_bar_is_shown_on_a_terminal_that_asks_for_it(
    session: Session, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, asked: bool
) -> None:
    terminal = Terminal(is_terminal)
    monkeypatch.setattr("sys.stderr", terminal)

    bulk_load(session, Incident, [{"domain_id": "d"}], progress=asked)

    assert ("incidents: done" in terminal.written) == (is_terminal and asked)


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        ({"domain_id": "d"}, {}, "must be an iterable of rows, not dict"),
        ("text", {}, "must be an iterable of rows, not str"),
        (5, {}, "must be an iterable of rows, not int"),
        ([{}], {"block": 0}, "must be at least 1"),
        ([("d",)], {"columns": ["nothing"]}, "has no column 'nothing'"),
        ([("d", "d")], {"columns": ["domain_id", "domain_id"]}, "has no column 'domain_id'"),
        ([("d",)], {"columns": ["creator"]}, "has no column 'creator'"),
    ],
)
def test_a_wrong_call_is_told(session: Session, rows: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(WrongCall, match=reason):
        bulk_load(session, Incident, rows, **options)

    assert session.scalar(select(func.count()).select_from(Incident)) == 0


def test_a_model_of_no_table_is_refused(session: Session) -> None:
    with pytest.raises(WrongCall, match="int is not a model"):
        bulk_load(session, int, [{}])


def test_a_connection_in_autocommit_is_refused(connection: Connection) -> None:
    with (
        connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as autocommit,
        pytest.raises(NoTransaction),
    ):
        bulk_load(autocommit, Incident, [{"domain_id": "d"}])


def test_another_driver_is_refused() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(WrongCall, match=r"sqlite\+pysqlite"):
        bulk_load(connection, Incident, [{"domain_id": "d"}])
    engine.dispose()


def test_an_error_of_the_input_itself_comes_through_and_nothing_is_loaded(session: Session) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"domain_id": "d"}
        yield {"domain_id": "d"}
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        bulk_load(session, Incident, rows(), block=1)

    assert incidents(session) == []
