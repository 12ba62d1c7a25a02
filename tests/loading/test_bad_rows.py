"""Bad rows are named by number, column and reason; nothing is half loaded, and the session goes on."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from dbschema import bulk_load
from dbschema.errors import MissingPrivilege, NotMigrated
from dbschema.loading import BadRows, diagnosis
from dbschema.loading.errors import WrongCall
from dbschema.models import Fulfillment, Incident, MarketingCampaign, Order, User

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

SECRET = "a-value-that-belongs-to-somebody"
GOOD = {"domain_id": "d"}


def load(session: Session, rows: Any, model: Any = Incident, **options: Any) -> BadRows:
    """Load what cannot be loaded; nothing may be left of it, and the session must go on."""
    with pytest.raises(BadRows) as raised:
        bulk_load(session, model, rows, **options)

    assert SECRET not in "".join(map(str, (raised.value, raised.value.__cause__)))
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert session.scalar(select(func.count()).select_from(model)) == 0
    return raised.value


def order(number: str) -> dict[str, Any]:
    return {"order_number": number, "total_amount": 1, "customer_email": "a@b.c"}


def found(error: BadRows) -> list[tuple[int, str | None]]:
    return [(problem.row, problem.column) for problem in error.problems]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("title", 5, "is no text but of type int"),
        ("title", f"{SECRET}\0", "NUL"),
        ("title", f"{SECRET}\ud800", "surrogate"),
        ("title", func.now(), "is an SQL expression"),
        ("severity", 40_000, "lies outside -32768 to 32767"),
        ("severity", True, "is no whole number but of type bool"),
        ("severity", 1.5, "is no whole number but of type float"),
        ("severity", SECRET, "is no whole number"),
        ("status", SECRET, "is not one of open, in_progress, resolved, closed"),
        ("status", [], "is not one of open"),
        ("location", (200.0, 0.0), "is no place"),
        ("location", (0.0, math.nan), "is no place"),
        ("location", (1.0, 2.0, 3.0), "is no place"),
        ("location", SECRET, "is no place"),
        ("location", (10**400, 0), "is no place"),
        ("structured_data", {"k": f"{SECRET}\0"}, "NUL"),
        ("structured_data", {f"{SECRET}\0": 1}, "NUL"),
        ("structured_data", {"k": "\udfff"}, "surrogate"),
        ("structured_data", {"k": math.nan}, "cannot be written as JSON"),
        ("structured_data", {"k": uuid4()}, "cannot be written as JSON"),
        ("occurred_at", datetime(2026, 1, 1), "has no time zone"),  # noqa: DTZ001  the point of the case
        ("occurred_at", date(2026, 1, 1), "is no datetime but of type date"),
        ("occurred_at", SECRET, "ISO 8601"),
        ("created_by", SECRET, "is no UUID"),
        ("created_by", 5, "is no UUID but of type int"),
        ("nothing", 1, "is no column or attribute of incidents"),
        ("creator", 1, "is a relationship"),
    ],
)
def test_a_value_that_its_column_cannot_take_is_named_before_it_is_sent(
    session: Session, column: str, value: Any, reason: str
) -> None:
    for rows in (
        [GOOD, {**GOOD, column: value}, GOOD],
        [{**GOOD, column: None}] * (column not in ("nothing", "creator")) + [{**GOOD, column: value}],
    ):
        error = load(session, rows)

        assert found(error) == [(len(rows) - (len(rows) == 3), column)]
        assert reason in error.problems[0].reason


def test_a_document_that_holds_itself_is_named(session: Session) -> None:
    endless: dict[str, Any] = {}
    endless["k"] = endless
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]

    assert found(load(session, [{**GOOD, "structured_data": endless}])) == [(1, "structured_data")]
    assert found(load(session, [{**GOOD, "structured_data": {"k": deep}}])) == [(1, "structured_data")]


def test_every_bad_row_of_the_input_is_named_up_to_a_bound(session: Session) -> None:
    rows = [{**GOOD, "severity": "x" if n % 2 else 1} for n in range(100)]

    few = load(session, rows[:9], block=2)
    many = load(session, rows, block=7, max_problems=3)

    assert (found(few), few.more) == (
        [(2, "severity"), (4, "severity"), (6, "severity"), (8, "severity")],
        False,
    )
    assert (found(many), many.more) == ([(2, "severity"), (4, "severity"), (6, "severity")], True)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        (5, None),
        ("text", None),
        (None, None),
        (object(), None),
        (User(), None),
        (("d",), None),
        (("d", 1), ["domain_id"]),
        (5, ["domain_id"]),
    ],
)
def test_what_is_no_row_is_named(session: Session, row: Any, columns: list[str] | None) -> None:
    good = GOOD if columns is None else ("d",)

    assert found(load(session, [good, row], columns=columns)) == [(2, None)]


def test_an_instance_that_its_session_would_write_again_is_refused(session: Session) -> None:
    pending = Incident(domain_id="d")
    with session.no_autoflush:
        session.add(pending)
        session.autoflush = False
        error = load(session, [pending])
        session.expunge(pending)

    assert "a second time" in str(error)


def test_an_instance_that_holds_others_is_refused(session: Session) -> None:
    user = User(username="ann", email="a@b.c")

    error = load(session, [Incident(domain_id="d", creator=user)])

    assert "'creator'" in str(error)


@pytest.mark.parametrize(
    ("bad", "column", "reason", "state"),
    [
        ({"severity": 9}, "severity", "violates the check ck_incidents_severity", "23514"),
        ({"domain_id": None, "title": SECRET}, "domain_id", "is missing or NULL", "23502"),
        ({"created_by": uuid4()}, "created_by", "refers to a row of users that does not exist", "23503"),
        ({"structured_data": [1]}, "structured_data", "violates the check ck_incidents_structured_data", "23514"),
        ({"structured_data": None}, "structured_data", "violates the check ck_incidents_structured_data", "23514"),
    ],
)  # fmt: skip
def test_a_row_that_the_database_refuses_is_named(
    session: Session, bad: dict[str, Any], column: str, reason: str, state: str
) -> None:
    error = load(session, [GOOD, GOOD, {**GOOD, **bad}, GOOD, {**GOOD, **bad}])

    assert [str(problem) for problem in error.problems] == [
        f"row 3: {column} {reason}",
        f"row 5: {column} {reason}",
    ]
    assert (error.sqlstate, error.more) == (state, False)


def test_a_column_that_no_row_brings_is_named(session: Session) -> None:
    assert found(load(session, [{"title": SECRET}] * 2)) == [(1, "domain_id"), (2, "domain_id")]


def test_a_check_over_several_columns_names_the_constraint(session: Session) -> None:
    rows = [{"campaign_name": str(n), "channel": "c", "impressions": 5, "clicks": 4 + n} for n in range(4)]

    error = load(session, rows, MarketingCampaign)

    assert [problem.row for problem in error.problems] == [3, 4]
    assert error.constraint in str(error)


def test_rows_with_the_same_key_are_named_with_each_other(session: Session) -> None:
    rows = [order(number) for number in ("a", SECRET, "c", SECRET, "a")]

    error = load(session, rows, Order)

    assert [str(problem) for problem in error.problems] == [
        "row 4: has the same (tenant_id, order_number) as row 2 of the input",
        "row 5: has the same (tenant_id, order_number) as row 1 of the input",
    ]


def test_rows_that_are_there_already_are_named(session: Session) -> None:
    bulk_load(session, Order, [order(SECRET)])

    with pytest.raises(BadRows) as raised:
        bulk_load(session, Order, [order(n) for n in ("a", SECRET)])

    assert [str(problem) for problem in raised.value.problems] == [
        "row 2: has the same (tenant_id, order_number) as an existing row"
    ]
    assert SECRET not in str(raised.value)


def test_what_a_type_cannot_hold_is_named_by_the_database(session: Session) -> None:
    rows = [{**order(str(n)), "total_amount": 10**n} for n in range(9, 12)]

    error = load(session, rows, Order, block=1)

    assert (found(error), error.problems[0].reason) == ([(2, "total_amount")], "is out of range")


@pytest.mark.parametrize("culprits", [[1], [7], [100], [3, 4, 60], list(range(20, 40))])
def test_what_no_constraint_names_is_found_by_trying(
    connection: Connection, session: Session, culprits: list[int]
) -> None:
    """As what a trigger of the application refuses."""
    connection.execute(text("RESET ROLE"))
    connection.execute(
        text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.title = 'bad' THEN RAISE EXCEPTION 'no titles of this kind'; END IF; RETURN NEW; END $$"
        )
    )
    connection.execute(
        text("CREATE TRIGGER refuse BEFORE INSERT ON incidents FOR EACH ROW EXECUTE FUNCTION refuse()")
    )
    connection.execute(text("SET LOCAL ROLE dbschema_app"))
    rows = [{**GOOD, "title": "bad" if n in culprits else "good"} for n in range(1, 101)]

    error = load(session, rows)

    assert [problem.row for problem in error.problems] == culprits[:10]
    assert error.more == (len(culprits) > 10)
    assert "no titles of this kind" in str(error)


def test_rows_that_only_together_are_wrong_are_named_together(
    connection: Connection, session: Session
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text("ALTER TABLE incidents ADD EXCLUDE USING btree (title WITH =)"))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    error = load(session, [{**GOOD, "title": title} for title in "abcdefga"])

    assert str(error.problems[0]).startswith("row 1: and those up to row 8, together:")


def test_a_row_may_refer_to_one_that_comes_later(connection: Connection, session: Session) -> None:
    """All rows are one statement, whatever columns each of them names."""
    connection.execute(text("RESET ROLE"))
    connection.execute(
        text(
            "ALTER TABLE incidents ADD FOREIGN KEY (tenant_id, created_by) REFERENCES incidents (tenant_id, id)"
        )
    )
    connection.execute(text("ALTER TABLE incidents DROP CONSTRAINT fk_incidents_tenant_id_created_by"))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))
    first, second = uuid4(), uuid4()
    rows = [{**GOOD, "created_by": second}, {**GOOD, "id": first, "title": "t"}, {**GOOD, "id": second}]
    nowhere = {**GOOD, "created_by": uuid4()}

    error = load(session, [*rows, nowhere])
    loaded = bulk_load(session, Incident, rows, block=1)

    assert [problem.row for problem in error.problems] == [4]
    assert loaded.count == 3


def test_the_session_loads_the_corrected_rows_in_the_same_transaction(session: Session) -> None:
    load(session, [{**GOOD, "severity": 9}])

    assert bulk_load(session, Incident, [{**GOOD, "severity": 5}]).count == 1


def test_who_may_not_make_temporary_tables_is_told_the_grant(
    connection: Connection, session: Session
) -> None:
    name = connection.engine.url.database
    connection.execute(text("RESET ROLE"))
    connection.execute(text(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    with pytest.raises(MissingPrivilege, match=f"GRANT TEMPORARY ON DATABASE {name} TO dbschema_app"):
        bulk_load(session, Incident, [GOOD])

    assert session.scalar(select(func.count()).select_from(Incident)) == 0


@pytest.mark.parametrize(
    "change", ["ALTER TABLE incidents DROP COLUMN title", "DROP TABLE incidents CASCADE"]
)
def test_a_database_that_is_not_migrated_is_told(
    connection: Connection, session: Session, change: str
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text(change))

    with pytest.raises(NotMigrated):
        bulk_load(session, Incident, [GOOD])


def test_a_statement_that_is_stopped_is_no_fault_of_a_row(connection: Connection, session: Session) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(
        text(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$"
        )
    )
    connection.execute(
        text("CREATE TRIGGER slow BEFORE INSERT ON incidents FOR EACH ROW EXECUTE FUNCTION slow()")
    )
    connection.execute(text("SET LOCAL ROLE dbschema_app"))
    connection.execute(text("SET LOCAL statement_timeout = '300ms'"))

    with pytest.raises(DBAPIError) as raised:
        bulk_load(session, Incident, [GOOD])

    connection.execute(text("SET LOCAL statement_timeout = 0"))
    assert getattr(raised.value.orig, "sqlstate", None) == "57014"
    assert session.scalar(select(func.count()).select_from(Incident)) == 0


def test_a_search_that_is_stopped_is_told_as_such(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a statement timeout, which counts for the search as for the load."""

    def stopped(search: diagnosis.RowDiagnosis, *_: Any) -> None:
        search.connection.execute(text("SET LOCAL statement_timeout = '100ms'"))
        search.connection.execute(text("SELECT pg_sleep(60)"))

    monkeypatch.setattr(diagnosis.RowDiagnosis, "_by_constraint", stopped)

    error = load(session, [{**GOOD, "severity": 9}])

    assert (error.problems, error.more, error.constraint) == ((), True, "ck_incidents_severity")
    assert "could not be found in time" in str(error)


def test_rows_that_are_read_from_the_session_itself_are_an_error(session: Session) -> None:
    """And not two that wait for each other for ever."""

    def rows() -> Any:
        yield GOOD
        for domain in session.scalars(text("SELECT 'd' FROM generate_series(1, 3)")):
            yield {"domain_id": domain}

    with pytest.raises(WrongCall, match="read from the session that loads them"):
        bulk_load(session, Incident, rows(), block=1)

    assert session.scalar(select(func.count()).select_from(Incident)) == 0


def test_a_connection_that_dies_is_told_as_sqlalchemy_does(connection: Connection, session: Session) -> None:
    pid = session.scalar(select(func.pg_backend_pid()))
    url = connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def rows() -> Any:
        yield GOOD
        with psycopg.connect(url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
            while killer.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
                pass
        yield from [GOOD] * 100_000

    with pytest.raises(DBAPIError) as raised:
        bulk_load(session, Incident, rows(), block=1)

    assert raised.value.connection_invalidated
    connection.close()


def test_order_of_unrelated_models_is_the_callers(session: Session) -> None:
    key = uuid4()

    error = load(session, [{"order_id": key}], Fulfillment)
    bulk_load(session, Order, [{**order("1"), "id": key}])
    loaded = bulk_load(session, Fulfillment, [{"order_id": key, "shipped_at": datetime.now(UTC)}])

    assert found(error) == [(1, "order_id")]
    assert loaded.count == 1
