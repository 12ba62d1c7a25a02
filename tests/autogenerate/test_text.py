"""Rendered SQL reaches the server as it was declared, byte for byte: online, and through `--sql` and psql."""

from __future__ import annotations

import io
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate.render import _indent
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mako.pygen import PythonPrinter
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import compiler, elements

from dbschema.autogenerate.text import escaped, execute_lines, without_tabs
from dbschema.ddl import Function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a body is made of when somebody wants to break the rendering. PostgreSQL stores everything but NUL.
PIECES = st.sampled_from(
    [
        *"abc_09 :%'\"\\$`#{}()[];,=<>\n\t\r",
        ":name",
        "\\:name",
        "::uuid",
        ":=",
        "%s",
        "%(x)s",
        "%%",
        "$$",
        "$body1$",
        "$body1",
        "$1",
        "'''",
        '"""',
        "  \n",
        "\r\n",
        "\n\n",
        "ü€😀",
        "\u2028",
        "\x85",
        "\x0b",
        "\x7f",
        "if x:",
        "else:",
        "# note",
        "${x}",
        "<%",
    ]
)
BODIES = st.lists(PIECES, max_size=30).map("".join)

AWKWARD = (
    "\n\tif a := b then -- 100% :name \\:name ::x 'it''s' \"\"\" ''' $$ \\\r\n  trailing  \n"
    + "x" * 500
    + "\n"
)


def rendered(statements: list[str]) -> str:
    """What stands in a revision: the lines as Alembic's printer and its indentation leave them."""
    buffer = io.StringIO()
    printer = PythonPrinter(buffer)
    for line in execute_lines("op.", statements):
        printer.writeline(line)
    return f"def upgrade():\n    {_indent(buffer.getvalue())}\n"


def run(source: str, op: object) -> None:
    scope: dict[str, Callable[[], None]] = {}
    exec(compile(source, "revision", "exec"), {"op": op}, scope)
    scope["upgrade"]()


class Recorder:
    """Stands in for `op`."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sql: str) -> None:
        self.statements.append(sql)


@given(st.one_of(BODIES, st.text()))
@example(AWKWARD)
def test_text_compiles_the_escaped_statement_to_the_statement(sql: str) -> None:
    dialect = postgresql.dialect(paramstyle="named")

    compiled = text(escaped(sql)).compile(dialect=dialect)

    assert (str(compiled), compiled.params) == (sql, {})


def test_the_escape_follows_the_expressions_of_sqlalchemy() -> None:
    """A release of SQLAlchemy with other rules must be looked at, not met in a revision."""
    assert elements.TextClause._bind_params_regex.pattern == r"(?<![:\w\x5c]):(\w+)(?![:\w])"
    assert compiler.BIND_PARAMS_ESC.pattern == r"\x5c(:\w*)(?![:\w])"


@given(st.lists(st.one_of(BODIES, st.text(st.characters(exclude_categories=["Cs"]))), min_size=1, max_size=3))
@example([AWKWARD, AWKWARD])
def test_source_gives_back_the_statement(statements: list[str]) -> None:
    recorder = Recorder()

    run(rendered(statements), recorder)

    assert recorder.statements == [escaped(statement) for statement in statements]


def test_a_statement_of_one_line_stays_on_it() -> None:
    assert execute_lines("op.", ["DROP POLICY a ON b"]) == ["op.execute('DROP POLICY a ON b')"]


def test_a_body_is_written_one_literal_a_line() -> None:
    assert execute_lines("op.", ["a\n  b\n\nc"]) == [
        "op.execute(\n    'a\\n'\n    '  b\\n'\n    '\\n'\n    'c'\n)",
    ]


def test_a_body_without_tabs_is_left_between_dollar_quotes() -> None:
    assert without_tabs("AS $$ a $$", " a ") == "AS $$ a $$"


@pytest.fixture
def scratch(fresh_database: str) -> Iterator[Connection]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SET check_function_bodies = off"))
        yield connection


def declared(body: str, name: str = "f") -> Function:
    return Function(name, returns="void", body=body, comment="100% of it: 'quoted' \\ :name")


def statements_of(function: Function) -> list[str]:
    return [without_tabs(statement, function.body) for statement in function.create()]


def stored(connection: Connection) -> list[str]:
    query = "SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
    return list(connection.scalars(text(query)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
@example(AWKWARD)
@example("$$ $body1")
def test_online_the_server_stores_the_declared_body(scratch: Connection, body: str) -> None:
    operations = Operations(MigrationContext.configure(scratch))

    run(rendered(statements_of(declared(body))), operations)

    assert stored(scratch) == [body]


def test_offline_psql_stores_the_declared_body(fresh_database: str) -> None:
    """A hundred bodies in one script, as psql costs more than what is tested."""
    bodies = [AWKWARD, *awkward_bodies()]
    script = io.StringIO()
    offline = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        opts={"as_sql": True, "output_buffer": script, "literal_binds": True},
    )
    for number, body in enumerate(bodies):
        run(rendered(statements_of(declared(body, f"f{number:03}"))), Operations(offline))

    subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", "-", re.sub(r"\+psycopg", "", fresh_database)],
        input=("SET check_function_bodies = off;\n" + script.getvalue()).encode(),
        check=True,
        capture_output=True,
    )

    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        assert stored(connection) == bodies


def awkward_bodies() -> list[str]:
    """Bodies of every pair of pieces that mean something to somebody on the way."""
    pieces = [
        "\t",
        "\r\n",
        ":name",
        "\\:name",
        "\\",
        "%",
        "%%",
        "'",
        "''",
        "$$",
        "$body1$",
        "$body1",
        ";",
        "  \n",
        "ü€😀",
        "\u2028",
    ]
    return [f"{first} {second}{first}" for first in pieces for second in pieces]
