"""SQL split into statements: what is joined is split again, and the server takes each piece as one command."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema.connect import opener, resolve
from dbschema.errors import DbSchemaError, ExtraMissing
from dbschema.migrations import compilation, compiled, runner
from dbschema.migrations.compilation import NotParsed, split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATEMENTS = [
    "SELECT 1",
    "SELECT ';', 'it''s; one', \"a;b\"",
    "SELECT 'ä;ö', \"ü;\", '😀;' -- ß;",
    r"SELECT E'it\'s; one', e'\\', 'plain\'",
    "SELECT U&'d\\0061t;', U&\"d;\"",
    "SELECT $$a;b$$, $t$ $$;$$ ; $t$, $ä$;$ä$",
    "SELECT a$b$c, $1 FROM t AS a$b$",
    "SELECT 1 -- no; end\n, 2",
    "SELECT /* ; /* ; */ ; */ 1",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); DELETE FROM u)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$",
    "CREATE OR REPLACE FUNCTION f(n int) RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE n WHEN 1 THEN 2 END; END",
    "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END",
    "CREATE PROCEDURE begin() BEGIN ATOMIC INSERT INTO t VALUES (1); DELETE FROM t; END",
    "CREATE PROCEDURE begin() LANGUAGE sql AS 'SELECT 1; SELECT 2'",
    "CREATE FUNCTION begin(atomic int) RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END",
    "CREATE PROCEDURE p() BEGIN ATOMIC END",
    "ALTER PROCEDURE begin() RENAME TO begin",
    "BEGIN",
    "END",
    "UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END",
    "SELECT (ARRAY[1, 2])[1], x.begin FROM x",
    "DO 'BEGIN; END'",
    "DO $do$ BEGIN EXECUTE $$SELECT 1;$$; END; $do$",
]
statements = st.lists(st.sampled_from(STATEMENTS), max_size=8)
# A line break first: a statement may end in a comment.
between = st.sampled_from(["\n;", "\n;\n", "\n ; ;", "\n;--x;\n", "\n;/*;/* ; */*/", "\n;\t-- \\d ;\n"])


@given(statements, st.data())
def test_statements_that_are_joined_are_split_again(pieces: list[str], data: st.DataObject) -> None:
    sql = "".join(piece + data.draw(between) for piece in pieces)

    assert [without_end(one) for one in split(sql)] == [without_end(one) for one in pieces]


@given(statements)
def test_what_was_split_is_not_split_again(pieces: list[str]) -> None:
    found = split("\n;\n".join(pieces))

    assert [split(one) for one in found] == [[one] for one in found]


@given(st.text(alphabet=st.sampled_from("a;'\"$-/*\n\\E()e1ä "), max_size=40))
def test_nothing_but_blanks_comments_and_semicolons_is_lost(sql: str) -> None:
    """Whatever it is, it is split or rejected."""
    try:
        found = split(sql)
    except NotParsed:
        return

    rest = sql
    for one in found:
        before, found_here, rest = rest.partition(one)
        assert found_here
        assert split(before) == []
    assert split(rest) == []


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_server_takes_each_piece_as_one_command(statement: str, fresh_database: str) -> None:
    """In a prepared statement it takes no more than one; whether its tables exist does not matter here."""
    with opener(resolve(fresh_database))(autocommit=True) as connection:
        for sql in split(f"{statement}\n; {statement}\n;"):
            result = connection.pgconn.prepare(b"", sql.encode())
            assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) != b"42601", result.error_message
    assert len(split(f"{statement}\n; {statement}\n;")) == 2


def test_the_server_refuses_what_was_not_split(fresh_database: str) -> None:
    """The test above can fail."""
    with opener(resolve(fresh_database))(autocommit=True) as connection:
        result = connection.pgconn.prepare(b"", b"SELECT 1; SELECT 2")

    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42601"


@pytest.mark.parametrize(
    ("sql", "line"),
    [("SELECT 1;\n\\d t", 2), ("\\set x 1", 1), ("COPY t FROM STDIN;\n1\n\\.", 2), ("SELECT 'open", 1)],
)
def test_what_the_parser_rejects_is_an_error_with_the_line(sql: str, line: int) -> None:
    with pytest.raises(NotParsed, match=rf"\(line {line}\)"):
        split(sql)


def test_without_pglast_compiling_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, write_history: Callable[..., Path]
) -> None:
    folder = write_history(one="op.execute('SELECT 1')")
    monkeypatch.setitem(sys.modules, "pglast", None)

    with pytest.raises(ExtraMissing, match=r"pip install 'dbschema\[compile\]'") as caught:
        compilation.write(folder)

    assert isinstance(caught.value, DbSchemaError)
    assert not (folder / compiled.FOLDER).exists()


def test_without_pglast_compiled_revisions_are_executed(
    monkeypatch: pytest.MonkeyPatch, write_history: Callable[..., Path], fresh_database: str
) -> None:
    folder = write_history(one="op.execute('CREATE TABLE t (); CREATE TABLE u ()')")
    compilation.write(folder)
    monkeypatch.setitem(sys.modules, "pglast", None)

    runner.upgrade(fresh_database, location=folder)

    with opener(resolve(fresh_database))() as connection:
        assert connection.execute("SELECT to_regclass('u') IS NOT NULL").fetchone() == (True,)


def test_each_statement_in_a_transaction_is_compiled_by_itself(write_history: Callable[..., Path]) -> None:
    """An executor that sends one statement at a time needs no parser."""
    procedure = "CREATE PROCEDURE begin() BEGIN ATOMIC SELECT 1; SELECT 2; END"
    together = "SET lock_timeout = 0; CREATE INDEX CONCURRENTLY i ON t (n)"
    folder = write_history(
        one=f"""
op.execute({f"-- first; comment{chr(10)}{procedure}; SELECT 3 /* ; */;"!r})
op.execute("-- nothing")
with op.get_context().autocommit_block():
    op.execute({together!r})
"""
    )

    compilation.write(folder)

    history = compiled.read(folder)
    assert history is not None
    (revision,) = history.revisions
    found = revision.statements()
    assert found is not None
    assert [(one.sql, one.alone) for one in found] == [
        (procedure, False),
        ("SELECT 3 /* ; */", False),
        (together, True),
    ]


def test_a_revision_that_the_parser_rejects_is_left_to_alembic_with_its_reason(
    write_history: Callable[..., Path],
) -> None:
    folder = write_history(one=r"op.execute('SELECT 1;\n\\d t')")

    index = compilation.files(folder)[compiled.INDEX].decode()

    assert '"sql": null' in index
    assert "PostgreSQL's parser rejects it: syntax error at or near" in index
    assert "(line 2)" in index


def test_a_revision_of_an_older_format_is_left_to_alembic(write_history: Callable[..., Path]) -> None:
    """Its statements may be several in one."""
    folder = write_history(one="op.execute('SELECT 1')")
    compilation.write(folder)
    index = folder / compiled.FOLDER / compiled.INDEX
    index.write_text(index.read_text().replace(f'"format": {compiled.FORMAT}', '"format": 1'))

    assert compiled.read(folder) is None


def without_end(statement: str) -> str:
    """Without the comment at its end, which belongs to no statement."""
    return re.sub(r"\s*-- ß;$", "", statement)
