"""Attacks on the search functions, by whoever has the application's role: their own tenant condition is the only guard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dbschema.ddl import Function, Policy, declared
from dbschema.ddl.search import SEARCH_ROLE
from dbschema.ddl.tenancy import READONLY_ROLE, TENANT_SETTING
from dbschema.models import Document, Incident, Tenant, User, metadata
from dbschema.models.conversations import DOCUMENTS_BY_WORDS
from dbschema.models.incidents import INCIDENT_SEARCHES
from dbschema.queries import documents, incidents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Select

MINE, THEIRS = UUID(int=0xA11CE), UUID(int=0xB0B)  # fixed: they stand in the names of tests
SECRET = "their-secret"
AREA = {"type": "Polygon", "coordinates": [[(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]]}
SEARCHES: dict[str, Select[Any]] = {
    "near": incidents.near((5, 5), within=1_000_000, limit=1000),
    "box": incidents.in_box(-180, -90, 180, 90, limit=1000),
    "area": incidents.in_area(AREA, limit=1000),
    "data": incidents.by_data({}, limit=1000),
    "words": documents.with_words("water", limit=1000),
}
CALLS = {
    "near": "search_incidents_near(ST_GeogFromText('POINT(5 5)'), 1e6)",
    "box": "search_incidents_in_box(-180, -90, 180, 90)",
    "area": "search_incidents_in_area(ST_GeogFromText('POLYGON((0 0, 10 0, 10 10, 0 10, 0 0))'))",
    "data": "search_incidents_by_data('{}')",
    "words": "search_documents('water')",
}
each_search = pytest.mark.parametrize("statement", SEARCHES.values(), ids=SEARCHES)
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
FUNCTIONS = (*INCIDENT_SEARCHES, DOCUMENTS_BY_WORDS)


@pytest.fixture
def attacker(connection: Connection, act: Callable[..., Connection]) -> Connection:
    """The application's role for one of two tenants that have three incidents and three documents each."""
    for key, title in ((MINE, "mine"), (THEIRS, SECRET)):
        connection.execute(insert(Tenant).values(id=key, tenant_name="x", slug=key.hex[-20:]))
        connection.execute(insert(User).values(tenant_id=key, id=key, username="u", email="u@example.com"))
        connection.execute(
            insert(Incident),
            [
                {
                    "tenant_id": key,
                    "domain_id": "d",
                    "title": title,
                    "location": (5, 5),
                    "structured_data": {"note": title},
                }
                for _ in range(3)
            ],
        )
        connection.execute(
            insert(Document),
            [{"tenant_id": key, "user_id": key, "title": title, "content": "water"} for _ in range(3)],
        )
    connection.execute(text("ANALYZE incidents; ANALYZE documents"))
    return act(connection, MINE)


def owners(connection: Connection, statement: Select[Any]) -> list[UUID]:
    return [row[0].tenant_id for row in Session(connection).execute(statement)]


def refused(connection: Connection, sql: str, why: str) -> None:
    with pytest.raises(DBAPIError, match=why) as caught, connection.begin_nested():
        connection.execute(text(sql)).all()
    assert SECRET not in str(caught.value)


@each_search
def test_a_tenant_finds_its_own_rows_alone(attacker: Connection, statement: Select[Any]) -> None:
    assert owners(attacker, statement) == [MINE] * 3


@each_search
@pytest.mark.parametrize(
    "how", ["RESET app.tenant_id", "SET LOCAL app.tenant_id = ''"], ids=["reset", "empty"]
)
def test_without_a_tenant_nothing_is_found(attacker: Connection, statement: Select[Any], how: str) -> None:
    attacker.execute(text(how))

    assert owners(attacker, statement) == []


@each_search
def test_the_tenant_of_the_last_statement_is_forgotten(attacker: Connection, statement: Select[Any]) -> None:
    """A plan that was made for one tenant is not used for the next, however often it ran."""
    for _ in range(7):
        assert owners(attacker, statement) == [MINE] * 3
    attacker.execute(text(f"SET LOCAL {TENANT_SETTING} = '{THEIRS}'"))
    assert owners(attacker, statement) == [THEIRS] * 3
    with attacker.begin_nested() as savepoint:
        attacker.execute(text(f"SET LOCAL {TENANT_SETTING} = '{MINE}'"))
        savepoint.rollback()
    assert owners(attacker, statement) == [THEIRS] * 3
    attacker.execute(text(f"SET LOCAL {TENANT_SETTING} = ''"))
    assert owners(attacker, statement) == []


@each_call
@pytest.mark.parametrize("setting", ["nonsense", "' OR true --", "00000000-0000-0000-0000-00000000000g"])
def test_a_tenant_that_is_none_tells_nothing_but_itself(
    attacker: Connection, call: str, setting: str
) -> None:
    attacker.execute(text("SELECT set_config('app.tenant_id', :value, true)"), {"value": setting})

    refused(attacker, f"SELECT * FROM {call}", "invalid input syntax for type uuid")


@each_call
def test_a_tenant_that_changes_while_the_query_runs_mixes_nothing(attacker: Connection, call: str) -> None:
    """What the caller's expressions set comes before a search or after it, never in its middle."""
    meddling = f"set_config('app.tenant_id', '{THEIRS}', true)"
    name, _, arguments = call.partition("(")
    statements = (
        f"SELECT {meddling}, tenant_id FROM {call}",
        f"SELECT tenant_id FROM {call} WHERE {meddling} <> ''",
        f"SELECT tenant_id FROM {name}(page_size => length({meddling}), {_named(name, arguments)}",
        f"SELECT s.tenant_id FROM (SELECT {meddling} OFFSET 0) x, LATERAL {call} s",
    )
    for sql in statements:
        attacker.execute(text(f"SET LOCAL {TENANT_SETTING} = '{MINE}'"))
        found = {row.tenant_id for row in attacker.execute(text(sql))}

        assert len(found) == 1, sql


def _named(name: str, arguments: str) -> str:
    """The arguments of a call by name, so that another can stand before them."""
    function = next(item for item in FUNCTIONS if item.name == name)
    values = {
        "search_incidents_near": ["ST_GeogFromText('POINT(5 5)')", "1e6"],
        "search_incidents_in_box": ["-180", "-90", "180", "90"],
        "search_incidents_in_area": ["ST_GeogFromText('POLYGON((0 0, 10 0, 10 10, 0 10, 0 0))')"],
        "search_incidents_by_data": ["'{}'"],
        "search_documents": ["'water'"],
    }[name]
    del arguments
    return (
        ", ".join(f"{item.name} => {value}" for item, value in zip(function.arguments, values, strict=False))
        + ")"
    )


@pytest.mark.parametrize("role", [SEARCH_ROLE.name, "dbschema"])
def test_the_role_of_the_functions_cannot_be_taken(
    attacker: Connection, connection: Connection, role: str
) -> None:
    connection.execute(
        text("RESET ROLE; CREATE ROLE an_application LOGIN; GRANT dbschema_app TO an_application")
    )
    connection.execute(text("SET SESSION AUTHORIZATION an_application; SET LOCAL ROLE dbschema_app"))

    refused(connection, f"SET ROLE {role}", "permission denied to set role")
    connection.execute(text("RESET SESSION AUTHORIZATION"))


def test_nobody_is_in_the_role_of_the_functions_and_it_is_in_none(connection: Connection) -> None:
    members = connection.execute(
        text(
            "SELECT count(*) FROM pg_auth_members WHERE roleid = to_regrole('dbschema_search')"
            " OR member = to_regrole('dbschema_search')"
        )
    ).scalar_one()
    attributes = connection.execute(
        text(
            "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            " FROM pg_roles WHERE rolname = 'dbschema_search'"
        )
    ).one()

    assert members == 0
    assert not any(attributes)


def test_the_role_of_the_functions_reads_what_they_need_and_writes_nothing(connection: Connection) -> None:
    granted = connection.execute(
        text(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = 'dbschema_search' ORDER BY 1"
        )
    ).all()
    policies = [
        item for item in declared(metadata) if isinstance(item, Policy) and SEARCH_ROLE.name in item.roles
    ]

    assert granted == [("documents", "SELECT"), ("incidents", "SELECT")]
    assert {(item.table, item.command) for item in policies} == {
        ("documents", "SELECT"),
        ("incidents", "SELECT"),
    }
    assert not connection.execute(
        text("SELECT has_schema_privilege('dbschema_search', 'public', 'CREATE')")
    ).scalar_one()


def test_every_function_with_its_owners_rights_pins_its_path_and_is_the_applications_alone(
    connection: Connection,
) -> None:
    found = connection.execute(
        text(
            "SELECT p.proname, pg_get_userbyid(p.proowner), p.proconfig,"
            " ARRAY(SELECT pg_get_userbyid(a.grantee)::text FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner)"
            " FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace"
            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
        )
    ).all()

    assert {name for name, *_ in found} >= {item.name for item in FUNCTIONS}
    for name, owner, settings_, executable_by in found:
        path = next(item for item in settings_ if item.startswith("search_path="))
        assert path.startswith("search_path=pg_catalog, "), name
        assert path.endswith(", pg_temp"), name
        if name.startswith("search_"):
            assert (owner, executable_by) == ("dbschema_search", ["dbschema_app"])


@each_call
def test_others_may_not_call(attacker: Connection, connection: Connection, call: str) -> None:
    connection.execute(text("RESET ROLE; CREATE ROLE a_stranger; GRANT USAGE ON SCHEMA public TO a_stranger"))
    for role in ("a_stranger", READONLY_ROLE.name):
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        refused(connection, f"SELECT * FROM {call}", "permission denied for function")
        connection.execute(text("RESET ROLE"))


@each_call
def test_objects_of_ones_own_before_the_real_ones_are_not_looked_at(
    attacker: Connection, connection: Connection, call: str
) -> None:
    """Temporary tables come first unless a path says otherwise, and a schema of one's own comes where one puts it."""
    connection.execute(text("RESET ROLE; CREATE SCHEMA own; GRANT ALL ON SCHEMA own TO dbschema_app"))
    connection.execute(text("SET LOCAL ROLE dbschema_app"))
    for statement in (
        "CREATE TEMP TABLE incidents AS SELECT * FROM public.incidents",
        "CREATE TEMP TABLE documents AS SELECT * FROM public.documents",
        "CREATE TABLE own.incidents AS SELECT * FROM public.incidents",
        "CREATE TABLE own.documents AS SELECT * FROM public.documents",
        f"UPDATE pg_temp.incidents SET tenant_id = '{MINE}', title = 'forged'",
        f"UPDATE own.incidents SET tenant_id = '{MINE}', title = 'forged'",
        (
            "CREATE FUNCTION own.current_setting(text, boolean) RETURNS text LANGUAGE sql AS"
            f" $$SELECT '{THEIRS}'$$"
        ),
        "CREATE FUNCTION own.nullif(text, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$",
        "CREATE FUNCTION own.always(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$SELECT true$$",
        "CREATE FUNCTION own.always(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS $$SELECT true$$",
        "CREATE OPERATOR own.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = own.always)",
        "CREATE OPERATOR own.@> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = own.always)",
        (
            "CREATE FUNCTION own.st_dwithin(geography, geography, float8, boolean) RETURNS boolean LANGUAGE sql"
            " AS $$SELECT true$$"
        ),
        (
            "CREATE FUNCTION own.websearch_to_tsquery(regconfig, text) RETURNS tsquery LANGUAGE sql"
            " AS $$SELECT 'water'::tsquery$$"
        ),
    ):
        connection.exec_driver_sql(statement)
    for path in ("own, pg_catalog, public", "pg_temp, own, public", "pg_temp, own, pg_catalog, public"):
        connection.exec_driver_sql(f"SET LOCAL search_path TO {path}")
        found = connection.execute(text(f"SELECT tenant_id::text, title FROM public.{call}")).all()

        assert found == [(str(MINE), "mine")] * 3


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE FUNCTION public.leak() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.leak ()",
        "CREATE OPERATOR public.### (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        (
            "CREATE OR REPLACE FUNCTION search_documents(text, uuid, timestamptz, uuid, integer) RETURNS SETOF documents"
            " LANGUAGE sql AS 'SELECT * FROM documents'"
        ),
        "ALTER FUNCTION search_documents SECURITY INVOKER",
        "ALTER FUNCTION search_documents RESET search_path",
        "ALTER FUNCTION search_documents OWNER TO dbschema_app",
        "DROP FUNCTION search_documents",
        "DROP POLICY search_functions ON incidents",
        "ALTER TABLE incidents DISABLE ROW LEVEL SECURITY",
    ],
)
def test_what_guards_cannot_be_changed(attacker: Connection, sql: str) -> None:
    refused(attacker, sql, "permission denied|must be owner")


def test_a_condition_that_leaks_sees_ones_own_rows_alone(attacker: Connection) -> None:
    """A function of one's own that costs nothing is asked before others, and tells what it was shown."""
    attacker.execute(
        text(
            "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END$$"
        )
    )
    raw: Any = attacker.connection.driver_connection
    seen: list[str] = []
    raw.add_notice_handler(lambda notice: seen.append(notice.message_primary))

    for call in CALLS.values():
        attacker.exec_driver_sql(f"SELECT count(*) FROM {call} WHERE pg_temp.tell(title)")
    attacker.exec_driver_sql("SELECT count(*) FROM incidents WHERE pg_temp.tell(title)")

    assert set(seen) == {"seen mine"}


def test_a_leakproof_function_of_ones_own_is_refused(attacker: Connection) -> None:
    refused(
        attacker,
        "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'",
        "only superuser can define a leakproof function",
    )


@each_call
def test_explain_tells_nothing_of_other_tenants(attacker: Connection, call: str) -> None:
    told = attacker.execute(
        text(f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT * FROM {call}")
    ).scalar_one()

    (node,) = [told[0]["Plan"]]
    assert node["Node Type"] == "Function Scan"
    assert node["Actual Rows"] == 3
    assert SECRET not in json.dumps(told)
    # What the planner expects is declared, and no count of anybody's rows.
    assert node["Plan Rows"] == 50


@pytest.mark.parametrize(
    "call",
    [
        "search_incidents_by_data('{\"note\": ')",
        "search_incidents_by_data(('\"' || repeat('x', 10) || '')::jsonb)",
        "search_incidents_in_area('POLYGON((0 0, 1 1')",
        "search_incidents_in_area(ST_GeogFromText('POINT(5 5)'), after_created_at => 'x')",
        "search_incidents_near(ST_GeogFromText('POINT(5 5)'), -1)",
        "search_incidents_near(ST_GeogFromText('POLYGON EMPTY'), 'NaN')",
        "search_incidents_in_box('NaN', 'NaN', 'NaN', 'NaN')",
        "search_documents(repeat('(', 100000) || '!&|')",
        "search_incidents_in_area((SELECT ST_Buffer(ST_GeogFromText('POINT(5 5)'), 1000, 5000)))",
    ],
)
def test_an_error_quotes_nothing_of_other_tenants(attacker: Connection, call: str) -> None:
    found: Sequence[UUID]
    try:
        with attacker.begin_nested():
            found = attacker.execute(text(f"SELECT tenant_id FROM {call}")).scalars().all()
    except DBAPIError as error:
        found, told = [], str(error)
    else:
        told = ""

    assert SECRET not in told
    assert str(THEIRS) not in told
    assert set(found) <= {MINE}


def test_an_area_with_too_many_corners_is_refused_by_the_database_too(attacker: Connection) -> None:
    refused(
        attacker,
        "SELECT * FROM search_incidents_in_area(ST_Buffer(ST_GeogFromText('POINT(5 5)'), 1000, 5000))",
        "NPoints",
    )


@pytest.mark.parametrize("size", ["1000000", "-5", "NULL", "2147483647"])
def test_a_page_is_never_longer_than_its_bound(
    attacker: Connection, connection: Connection, size: str
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(
        insert(Incident), [{"tenant_id": MINE, "domain_id": "d", "location": (5, 5)} for _ in range(1200)]
    )
    connection.execute(text("SET LOCAL ROLE dbschema_app"))

    for call in (
        "search_incidents_by_data('{}', ",
        "search_incidents_near(ST_GeogFromText('POINT(5 5)'), 10, ",
    ):
        count = attacker.execute(text(f"SELECT count(*) FROM {call} page_size => {size})")).scalar_one()

        assert count == (1000 if size.isdigit() else 0)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
        | st.integers()
        | st.none(),
        max_size=4,
    )
)
def test_keys_and_values_of_json_are_data(attacker: Connection, data: dict[str, Any]) -> None:
    found = owners(attacker, incidents.by_data(data))

    assert set(found) <= {MINE}
    assert len(found) == (0 if data else 3)


@pytest.mark.parametrize(
    "evil",
    [
        "' OR true --",
        "'; RESET ROLE; --",
        "%s %(tenant)s :words",
        "\\'; DROP TABLE incidents; --",
        "$$; SELECT 1; $$",
        f"' UNION SELECT * FROM incidents WHERE tenant_id = '{THEIRS}",
    ],
)
def test_text_is_data_wherever_it_goes(attacker: Connection, evil: str) -> None:
    for statement in (
        incidents.by_data({evil: evil}),
        incidents.in_box(-180, -90, 180, 90, domain=evil),
        incidents.by_domain(evil),
        incidents.by_category(evil),
        documents.with_words(evil),
    ):
        assert owners(attacker, statement) == []


def test_row_security_switched_off_finds_no_more(attacker: Connection) -> None:
    attacker.execute(text("SET LOCAL row_security = off"))

    refused(attacker, select(Incident.id).compile().string, "would be affected by row-level security")
    refused(
        attacker, "SELECT * FROM search_incidents_by_data('{}')", "would be affected by row-level security"
    )


def test_every_search_function_is_attacked_here() -> None:
    functions = {
        item.name for item in declared(metadata) if isinstance(item, Function) and item.security_definer
    }

    assert {item for item in functions if item.startswith("search_")} == {
        call.partition("(")[0] for call in CALLS.values()
    }
