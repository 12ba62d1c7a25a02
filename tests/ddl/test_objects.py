"""Declared objects write the SQL that PostgreSQL expects, and refuse what it could not keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema.ddl import Argument, Extension, Function, Grant, Policy, RowSecurity, Trigger
from dbschema.ddl.base import Phase, dollar_quoted, quote
from dbschema.errors import DeclarationError

NOTHING = Function("nothing", "trigger", "\nBEGIN\n    RETURN NULL;\nEND\n")


@given(st.text(alphabet=st.sampled_from("$abody1 \n'\\%:;"), max_size=40))
def test_dollar_quotes_never_end_inside_the_body(body: str) -> None:
    quoted = dollar_quoted(body)

    tag = quoted[: quoted.index("$", 1) + 1]
    assert quoted.startswith(tag)
    assert quoted.endswith(tag)
    assert quoted[len(tag) : -len(tag)] == body
    assert quoted.index(tag, len(tag)) == len(quoted) - len(tag)


def test_names_are_quoted_where_postgresql_needs_it() -> None:
    assert [quote(name) for name in ("orders", "order", "Order", 'a"b')] == [
        "orders",
        '"order"',
        '"Order"',
        '"a""b"',
    ]


def test_a_function_is_executable_by_nobody_but_its_owner_until_granted() -> None:
    assert NOTHING.create()[-1] == "REVOKE ALL ON FUNCTION nothing() FROM PUBLIC"


def test_a_function_writes_every_option_it_was_given() -> None:
    function = Function(
        "search",
        "SETOF incidents",
        "SELECT 1",
        arguments=(Argument("tenant", "uuid"), Argument("size", "integer", "50")),
        language="sql",
        volatility="STABLE",
        parallel="SAFE",
        strict=True,
        security_definer=True,
        settings=(("search_path", "public, pg_temp"),),
        needs_tables=True,
        schema="app",
        cost=500,
        rows=20,
        owner="searcher",
        executable_by=("reader", "Writer"),
    )

    take, *create, give = function.create()

    assert "ALTER FUNCTION app.search(uuid, integer) OWNER TO CURRENT_USER;" in take
    assert "ALTER FUNCTION app.search(uuid, integer) OWNER TO searcher;" in give
    assert create == [
        (
            "CREATE OR REPLACE FUNCTION app.search(tenant uuid, size integer DEFAULT 50)\n"
            " RETURNS SETOF incidents\n"
            " LANGUAGE sql\n"
            " STABLE PARALLEL SAFE STRICT SECURITY DEFINER COST 500 ROWS 20\n"
            " SET search_path TO public, pg_temp\n"
            "AS $$SELECT 1$$"
        ),
        "REVOKE ALL ON FUNCTION app.search(uuid, integer) FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION app.search(uuid, integer) TO reader",
        'GRANT EXECUTE ON FUNCTION app.search(uuid, integer) TO "Writer"',
    ]
    assert function.drop() == (take, "DROP FUNCTION app.search(uuid, integer)")
    assert function.order is Phase.TABLE_FUNCTION


def test_a_trigger_writes_columns_condition_and_arguments() -> None:
    trigger = Trigger(
        "watch",
        "orders",
        "note",
        timing="AFTER",
        events=("INSERT", "UPDATE"),
        columns=("status", "order"),
        when="NEW.status = 'paid'",
        arguments=("it's",),
        schema="app",
    )

    assert trigger.create() == (
        (
            'CREATE TRIGGER watch AFTER INSERT OR UPDATE OF status, "order" ON app.orders'
            " FOR EACH ROW WHEN (NEW.status = 'paid') EXECUTE FUNCTION note('it''s')"
        ),
    )
    assert trigger.drop() == ("DROP TRIGGER watch ON app.orders",)


def test_a_policy_writes_its_command_roles_and_conditions() -> None:
    policy = Policy(
        "own", "orders", using="a", check="b", command="UPDATE", roles=("app", "Op"), permissive=False
    )

    assert policy.create() == (
        'CREATE POLICY own ON orders AS RESTRICTIVE FOR UPDATE TO app, "Op" USING (a) WITH CHECK (b)',
    )


def test_row_security_is_taken_back_in_the_opposite_order() -> None:
    assert RowSecurity("orders").create() == (
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders FORCE ROW LEVEL SECURITY",
    )
    assert RowSecurity("orders").drop() == (
        "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
    )


def test_a_grant_on_the_default_schema_speaks_of_public() -> None:
    grant = Grant(("USAGE",), "SCHEMA", None, "app")

    assert grant.create() == ("GRANT USAGE ON SCHEMA public TO app",)
    assert grant.in_schemas({None: "copy"}).create() == ("GRANT USAGE ON SCHEMA copy TO app",)


def test_an_extension_stays_while_it_is_needed() -> None:
    (drop,) = Extension("postgis").drop()

    assert "dependent_objects_still_exist" in drop
    assert "CASCADE" not in drop


@pytest.mark.parametrize(
    "declare",
    [
        lambda name: Function(name, "trigger", ""),
        lambda name: Trigger(name, "orders", "f"),
        lambda name: Policy(name, "orders", using="true"),
    ],
)
def test_a_name_past_63_bytes_is_refused(declare: object) -> None:
    assert callable(declare)
    declare("ä" * 31 + "x")

    with pytest.raises(DeclarationError, match="64 bytes"):
        declare("ä" * 32)
