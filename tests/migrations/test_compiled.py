"""Compiled upgrades: they are those of Alembic, for exactly the files that they were made of, and no other library is imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbschema import connect
from dbschema.catalog import introspect
from dbschema.errors import MigrationError
from dbschema.migrations import compilable, compilation, compiled, errors, runner, sql_executor
from dbschema.migrations.compiled import Statement
from dbschema.migrations.location import script_location

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What is lost where a text is taken for something else: a format, a bind, a line that may be indented anew.
BODY = """
BEGIN
\tIF NEW.n % 2 = 0 AND NEW.t LIKE '50%%' THEN NEW.t := ':x'; END IF; -- %s %(n)s :y a\\b {} "q" 'it''s'
\tRETURN NEW;\r
END
"""
BACKSLASH = "\\"  # before a colon, it keeps SQLAlchemy from taking a name for a bind
AWKWARD = {
    "one": f"""
op.create_table("t", sa.Column("n", sa.Integer(), sa.Identity(), nullable=False),
    sa.Column("t", sa.Text(), server_default="50% of :x 'q' \\\\", comment="a % and :b, it's\\ttabbed"),
    sa.Column("k", postgresql.ENUM("a b", "c%", name="kind")),
    sa.CheckConstraint("t NOT LIKE '%%:z'", name="ck"), sa.PrimaryKeyConstraint("n"), comment="100%")
op.execute({("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$" + BODY.replace(":", BACKSLASH + ":") + "$f$")!r})
op.execute(sa.text("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"))
""",
    "two": """
for column in ("n", "t"):
    op.create_index(f"t_{column}", "t", [column, sa.text("lower(t) DESC")], postgresql_where=sa.text("t <> '%'"))
op.execute("INSERT INTO t (t) VALUES ('50%% done'), ('\\ttab')")
""",
    "three": """
with op.get_context().autocommit_block():
    op.create_index("t_c", "t", ["t"], postgresql_concurrently=True, unique=True)
op.alter_column("t", "t", existing_type=sa.Text(), comment="after", existing_comment="a % and :b")
""",
}


def state(url: str) -> object:
    """The catalog, the functions' bodies byte by byte, rows and version."""
    settings = connect.resolve(url)
    with connect.create_engine(settings).connect() as connection:
        found = introspect.read(connection)
        entries = sorted((str(identity), repr(facts)) for identity, facts in found.entries.items())
    with closing(connect.open(settings)) as plain:
        queries = (
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND probin IS NULL ORDER BY 1",
            "SELECT oid::regclass::text, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
            "TABLE alembic_version",
            "SELECT indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indrelid WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
        )
        return entries, [plain.execute(query).fetchall() for query in queries]


def without_compiled(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(compiled.FOLDER, "__pycache__"))
    return to


@pytest.fixture
def awkward(write_history: Callable[..., Path]) -> Path:
    folder = write_history(**AWKWARD)
    for path in (folder / "versions").glob("*.py"):
        imports = "import sqlalchemy as sa\nfrom sqlalchemy.dialects import postgresql\n"
        path.write_text(
            path.read_text().replace("from alembic import op\n", f"from alembic import op\n{imports}")
        )
    compilation.write(folder)
    return folder


def test_the_compiled_revisions_of_the_package_are_fresh() -> None:
    assert compilation.check(script_location()) == [], "run `make compile` and commit what it writes"


def test_the_schema_is_the_same_by_both_ways(new_database: Callable[..., str], tmp_path: Path) -> None:
    first, second = new_database(), new_database()
    plain = without_compiled(script_location(), tmp_path / "plain")

    runner.upgrade(first)
    runner.upgrade(second, location=plain)

    assert compiled.read(script_location()) is not None
    assert compiled.read(plain) is None
    assert state(first) == state(second)


def test_no_sign_is_lost_on_the_way(new_database: Callable[..., str], awkward: Path, tmp_path: Path) -> None:
    first, second = new_database(), new_database()
    found = compiled.read(awkward)
    assert found is not None

    run = runner.upgrade(first, location=awkward)
    runner.upgrade(second, location=without_compiled(awkward, tmp_path / "plain"))

    assert [one.sql is None for one in found.revisions] == [False] * 3
    assert [step.id for step in run.steps] == ["one", "two", "three"]
    assert state(first) == state(second)
    with closing(connect.open(connect.resolve(first))) as connection:
        rows = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'f'").fetchone()
        assert rows == (BODY,)
        assert connection.execute("SELECT t FROM t ORDER BY n").fetchall() == [("50%% done",), ("\ttab",)]


def test_an_upgrade_imports_neither_alembic_nor_sqlalchemy_nor_rich(
    new_database: Callable[..., str],
) -> None:
    url = new_database()
    program = """
import sys
from dbschema.tools.cli import main
sys.argv = ["dbschema", "upgrade", "--no-compare", "--url", sys.argv[1]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"alembic", "sqlalchemy", "rich", "rich_argparse", "boto3", "geoalchemy2"}
print("imported", sorted(heavy & {name.partition(".")[0] for name in sys.modules}), "dbschema.models" in sys.modules)
"""

    runs = [
        subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=False)
        for _ in range(2)
    ]

    assert [run.stdout.splitlines()[-1] for run in runs] == ["imported [] False"] * 2, runs
    assert "Apply 1/" in runs[0].stdout
    assert "Nothing to do" in runs[1].stdout


def test_the_state_is_asked_without_alembic_and_sqlalchemy(database: str) -> None:
    program = """
import sys
from dbschema.migrations import runner
assert runner.status(sys.argv[1]).up_to_date
raise SystemExit(bool({"alembic", "sqlalchemy"} & set(sys.modules)))
"""

    assert subprocess.run([sys.executable, "-c", program, database], check=False).returncode == 0


def _change(folder: Path) -> None:
    path = folder / "versions" / "two.py"
    path.write_text(path.read_text() + "\n")


def _add(folder: Path) -> None:
    text = (folder / "versions" / "three.py").read_text()
    text = text.replace('"three"', '"four"').replace("'two'", "'three'").partition("def upgrade")[0]
    (folder / "versions" / "four.py").write_text(text + "def upgrade():\n    pass\n")


def _remove(folder: Path) -> None:
    (folder / "versions" / "three.py").unlink()


def _env(folder: Path) -> None:
    (folder / "env.py").write_text((folder / "env.py").read_text() + "\n")


def _index(folder: Path) -> None:
    (folder / compiled.FOLDER / compiled.INDEX).write_text("{")


def _format(folder: Path) -> None:
    path = folder / compiled.FOLDER / compiled.INDEX
    path.write_text(path.read_text().replace('"format": ', '"format": 9'))


@pytest.mark.parametrize("disturb", [_change, _add, _remove, _env, _index, _format])
def test_it_counts_only_for_the_files_that_it_was_made_of(
    awkward: Path, new_database: Callable[..., str], disturb: Callable[[Path], None]
) -> None:
    disturb(awkward)
    count = len(list((awkward / "versions").glob("*.py")))

    run = runner.upgrade(new_database(), location=awkward)

    assert compiled.read(awkward) is None
    assert len(run.steps) == count


def test_sql_that_was_changed_by_hand_is_not_executed(
    awkward: Path, new_database: Callable[..., str]
) -> None:
    url = new_database()
    path = awkward / compiled.FOLDER / "two.sql"
    path.write_text(path.read_text() + compiled.write([Statement("DROP TABLE t")]))

    run = runner.upgrade(url, location=awkward)

    assert run.after == "three"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('op.get_bind().execute("SELECT 1")', "op.get_bind"),
        ('bind = op.get_context().bind; bind.exec_driver_sql("SELECT 1")', "op.get_context"),
        ("op.bulk_insert(None, [])", "op.bulk_insert"),
        ('op.execute(f"CREATE TABLE t{os.getpid()} ()")', "uses os"),
        ("import datetime", "has Import"),
        ("raise ValueError", "has Raise"),
        ("try:\n    pass\nfinally:\n    pass", "has Try"),
        ('with open("file"):\n    pass', "a block 'with open"),
        ("with op.batch_alter_table('t') as t:\n    t.drop_column('n')", "a block 'with op.batch"),
        ('op.execute("SELECT 1") if not op.get_context().as_sql else None', "op.get_context"),
        ("for name in {'a', 'b'}:\n    op.drop_table(name)", "has Set"),
        ("op.execute(str.__name__)", "uses __name__"),
        ("eval('1')", "uses eval"),
        ("other(op)", "uses other"),
        ("[op.execute][0]('SELECT 1'); list(map(op.f, ['a']))", "uses map"),
        ("helper()", "uses time"),
        ("sa.create_engine('x')", "uses sa.create_engine"),
        ("sa.inspect(None)", "uses sa.inspect"),
        ("sa.event.listen(sa.Table, 'x', print)", "uses sa.event"),
    ],
)
def test_a_revision_that_may_do_something_else_online_is_left_to_alembic(code: str, reason: str) -> None:
    lines = "\n    ".join(code.splitlines())
    source = (
        "import os, time\nimport sqlalchemy as sa\nfrom alembic import op\n\n"
        f"def helper():\n    return time.time()\n\ndef upgrade():\n    {lines}\n"
    )

    found = compilable.not_compilable_reason(source)

    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('op.execute(sa.table("t", sa.column("n")).insert().values(n=1))', "uses sa.table"),
        ('op.execute(sa.text("SELECT :n").bindparams(n=1))', "binds values"),
        ('op.execute("SELECT :n")', "binds values"),
        ('op.execute("SELECT 1", execution_options={"a": 1})', "options or values"),
        ('op.create_table("t", sa.Column("n", sa.Text(), nonsense=1))', "fails with TypeError"),
    ],
)
def test_a_revision_that_binds_values_is_left_to_alembic_with_its_reason(
    write_history: Callable[..., Path], code: str, reason: str
) -> None:
    folder = write_history(one=code)
    path = folder / "versions" / "one.py"
    path.write_text(path.read_text().replace("import time\n", "import sqlalchemy as sa\n"))

    index = compilation.files(folder)[compiled.INDEX].decode()

    assert '"sql": null' in index
    assert reason in index


def test_statements_that_are_sent_together_are_still_statements_of_their_own(
    new_database: Callable[..., str], write_history: Callable[..., Path]
) -> None:
    """Comments and semicolons at their ends, several in one, settings between them, and what one makes for the next."""
    folder = write_history(
        one="""
op.execute("CREATE SCHEMA s -- a comment")
op.execute("SET LOCAL search_path = s, public;")
op.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
op.execute("CREATE TABLE u AS TABLE t")
""",
        two='op.execute("CREATE TABLE half ()")\nop.execute("SELECT 1 / 0")\nop.execute("CREATE TABLE never ()")',
    )
    compilation.write(folder)
    url = new_database()

    with pytest.raises(errors.RevisionFailed) as caught:
        runner.upgrade(url, location=folder)

    assert (caught.value.revision, caught.value.reason, caught.value.sqlstate) == (
        "two",
        "division by zero",
        "22012",
    )
    with closing(connect.open(connect.resolve(url))) as connection:
        assert connection.execute("TABLE s.u").fetchall() == [(1,)]
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_run_with_one_such_revision_goes_by_alembic_as_a_whole(
    new_database: Callable[..., str], write_history: Callable[..., Path]
) -> None:
    url = new_database()
    folder = write_history(
        one='op.execute("CREATE TABLE t (n int)")',
        two='op.get_bind().exec_driver_sql("INSERT INTO t VALUES (1)")',
        three='op.execute("CREATE TABLE u AS TABLE t")',
    )
    compilation.write(folder)

    run = runner.upgrade(url, location=folder)

    assert [step.id for step in run.steps] == ["one", "two", "three"]
    with closing(connect.open(connect.resolve(url))) as connection:
        assert connection.execute("TABLE u").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "call",
    [
        "alembic_env.run(context, MetaData(), version_table='mine')",
        "alembic_env.run(context, MetaData(), on_version_apply=print)",
        "context.config.attributes['x'] = 1\nenvironment.run(context, MetaData())",
        "if context.is_offline_mode():\n    pass\nenvironment.run(context, MetaData())",
        "print()\nenvironment.run(context, MetaData())",
    ],
)
def test_an_environment_that_does_more_is_not_compiled(write_history: Callable[..., Path], call: str) -> None:
    folder = write_history(one="pass")
    path = folder / "env.py"
    path.write_text(path.read_text().replace("alembic_env.run(context, MetaData(), compare=False)", call))
    assert call in path.read_text()

    with pytest.raises(MigrationError, match="cannot be compiled"):
        compilation.write(folder)


def test_an_environment_may_say_whether_alembic_compares(write_history: Callable[..., Path]) -> None:
    folder = write_history(one="op.execute('SELECT 1')")
    path = folder / "env.py"
    assert "compare=False" in path.read_text()

    compilation.write(folder)
    first = compiled.read(folder)
    path.write_text(path.read_text().replace(", compare=False", ""))
    compilation.write(folder)
    second = compiled.read(folder)

    assert first is not None
    assert second is not None


def test_compiling_again_changes_nothing_and_removes_what_is_left_over(awkward: Path) -> None:
    (awkward / compiled.FOLDER / "old.sql").write_text("")

    assert compilation.check(awkward) == ["old.sql"]
    assert compilation.write(awkward) == ["old.sql"]
    assert compilation.write(awkward) == []


def test_a_version_that_somebody_else_moves_meanwhile_fails_the_revision_and_undoes_it(
    new_database: Callable[..., str], write_history: Callable[..., Path]
) -> None:
    folder = write_history(
        one="pass", two="op.execute(\"CREATE TABLE t (); UPDATE alembic_version SET version_num = 'x'\")"
    )
    compilation.write(folder)
    url = new_database()

    with pytest.raises(errors.RevisionFailed, match="moved from one to two, and 0 rows") as caught:
        runner.upgrade(url, location=folder)

    assert isinstance(caught.value.__cause__, sql_executor.VersionMoved)
    assert runner.status(url, location=folder).current == ("one",)


# Lines end as Alembic writes them; a surrogate cannot be in a file of UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: f"\n{compiled.MARK}" not in f"\n{text}"
)


@given(st.lists(st.builds(Statement, TEXTS, st.booleans()), max_size=5))
def test_what_is_written_is_read_again(statements: list[Statement]) -> None:
    text = compiled.write(statements).encode().decode()

    assert compiled.parse(text) == tuple(statements)


def test_a_statement_that_would_be_taken_for_two_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        compiled.write([Statement(f"SELECT 1;\n{compiled.MARK}statement\nDROP TABLE t")])
