"""SQL taken apart as PostgreSQL's own parser takes it apart."""

from __future__ import annotations

import pglast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema.migrations import runner
from dbschema.migrations.statements import split

STATEMENTS = [
    "SELECT 1",
    "SELECT ';', 'it''s; one', \"a;b\"",
    r"SELECT E'it\'s; one', e'\\', 'plain\'",
    "SELECT U&'d\\0061t;', U&\"d;\"",
    "SELECT $$a;b$$, $t$ $$;$$ ; $t$, $ä$;$ä$",
    "SELECT a$b$c, $1 FROM t AS a$b$",
    "SELECT 1 -- no; end\n, 2",
    "SELECT /* ; /* ; */ ; */ 1",
    "/* before */ SELECT 1 /* after; */",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); DELETE FROM u)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$",
    "CREATE OR REPLACE FUNCTION f(n int) RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE n WHEN 1 THEN 2 END; END",
    "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END",
    "BEGIN",
    "END",
    "UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END",
    "SELECT (ARRAY[1, 2])[1], x.begin FROM x",
    "DO 'BEGIN; END'",
]


def by_the_parser(sql: str) -> list[str]:
    return [one.strip() for one in pglast.split(sql)]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_single_statement_stays_whole(statement: str) -> None:
    assert split(f"{statement};") == split(statement)
    assert len(split(statement)) == 1
    assert pglast.fingerprint(split(statement)[0]) == pglast.fingerprint(statement)


@given(
    st.lists(
        st.tuples(st.sampled_from(STATEMENTS), st.sampled_from([";", ";\n", " ; ;", ";--x;\n", ";/*;*/"]))
    )
)
def test_several_are_taken_apart_as_the_parser_takes_them(pieces: list[tuple[str, str]]) -> None:
    sql = "".join(statement + end for statement, end in pieces)

    found = split(sql)

    assert [pglast.fingerprint(one) for one in found] == [
        pglast.fingerprint(one) for one in by_the_parser(sql)
    ]


@given(st.text(alphabet=st.sampled_from("a;'\"$-/*\n\\E()e1 "), max_size=40))
def test_nothing_but_spaces_comments_and_semicolons_is_lost(sql: str) -> None:
    """Whatever it is: what the server would refuse has to reach the server."""
    found = split(sql)

    rest = sql
    for one in found:
        before, found_here, rest = rest.partition(one)
        assert found_here
        assert split(before) == []
    assert split(rest) == []


def test_our_own_revisions_are_taken_apart_as_the_parser_takes_them() -> None:
    sql = runner.sql()

    assert split(sql) == by_the_parser(sql)
