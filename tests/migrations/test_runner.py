"""Runs of revisions that the tests write: what is resolved, looked at, locked, kept and undone."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from dbschema.connect import opener, resolve
from dbschema.errors import ConnectError, MissingPrivilege, NotWritable, UnknownRevision
from dbschema.migrations import compilation, errors, lock, result, runner
from dbschema.migrations.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

NOWHERE = "postgresql://ada:s3cr3t@db.invalid/shop"
ENVIRONMENT = """
from alembic import context
from dbschema.migrations import alembic_env
from sqlalchemy import MetaData

alembic_env.run(context, MetaData())
"""
REVISION = '''
"""{doc}"""
from alembic import op

revision = "{id}"
down_revision = {below!r}


def upgrade():
    {up}


def downgrade():
    {down}
'''


class Scripts:
    """A folder of revisions that grows."""

    compiles = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENVIRONMENT)
        self.last: str | None = None

    def add(self, name: str, up: str = "pass", down: str = "pass", *, below: str | None = "") -> None:
        source = REVISION.format(
            doc=f"Do {name}", id=name, below=self.last if below == "" else below, up=up, down=down
        )
        (self.folder / "versions" / f"{name}.py").write_text(source)
        self.last = name
        if self.compiles:
            with contextlib.suppress(errors.BrokenScripts):  # the point of some tests
                compilation.write(self.folder)

    def add_table(self, name: str) -> None:
        self.add(name, f'op.execute("CREATE TABLE {name} ()")', f'op.execute("DROP TABLE {name}")')


@pytest.fixture(params=["by Alembic", "by compiled SQL"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule holds for both ways in which revisions are executed."""
    monkeypatch.setattr(Scripts, "compiles", request.param == "by compiled SQL")


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    """Three revisions, each with a table of its name."""
    scripts = Scripts(tmp_path / "scripts")
    for name in ("aaaa1111", "aaaa2222", "bbbb3333"):
        scripts.add_table(name)
    return scripts


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


@pytest.fixture
def limited(fresh_database: str, engine: Engine) -> Iterator[str]:
    """The address of the database for a role without any right but to log in."""
    role = f"{make_url(fresh_database).database}_limited"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'limited'"))
    yield (
        make_url(fresh_database).set(username=role, password="limited").render_as_string(hide_password=False)
    )
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}; DROP ROLE {role}"))


def test_an_upgrade_goes_to_the_head_and_tells_each_step_twice(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    told: list[tuple[str, int, int, bool, bool]] = []

    def on_step(step: result.Step) -> None:
        there = step.revision.id in tables(engine)
        told.append((step.revision.id, step.number, step.total, step.done, there))

    run = runner.upgrade(fresh_database, on_step=on_step, location=scripts.folder)

    assert (run.before, run.after) == (None, "bbbb3333")
    assert [step.doc for step in run.steps] == ["Do aaaa1111", "Do aaaa2222", "Do bbbb3333"]
    assert told[:4] == [
        ("aaaa1111", 1, 3, False, False),
        ("aaaa1111", 1, 3, True, True),
        ("aaaa2222", 2, 3, False, False),
        ("aaaa2222", 2, 3, True, True),
    ]
    assert tables(engine) == {"aaaa1111", "aaaa2222", "bbbb3333", "alembic_version"}


def test_a_second_upgrade_has_nothing_to_do(fresh_database: str, scripts: Scripts) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)

    again = runner.upgrade(fresh_database, location=scripts.folder)

    assert (again.before, again.after, again.steps) == ("bbbb3333", "bbbb3333", ())


@pytest.mark.parametrize(
    ("target", "after"),
    [
        ("aaaa2222", "aaaa2222"),
        ("aaaa2", "aaaa2222"),
        ("bbbb", "bbbb3333"),
        ("+1", "aaaa1111"),
        ("+3", "bbbb3333"),
        ("aaaa1111+1", "aaaa2222"),
        ("base+1", "aaaa1111"),
        ("head-1", "aaaa2222"),
        ("heads", "bbbb3333"),
    ],
)
def test_an_upgrade_ends_where_it_is_told_to(
    fresh_database: str, scripts: Scripts, target: str, after: str
) -> None:
    run = runner.upgrade(fresh_database, target, location=scripts.folder)

    assert run.after == after
    assert runner.status(fresh_database, location=scripts.folder).current == (after,)


@pytest.mark.parametrize(
    ("target", "after"),
    [("base", None), ("-1", "aaaa2222"), ("-3", None), ("aaaa1111", "aaaa1111"), ("head-2", "aaaa1111")],
)
def test_a_downgrade_ends_where_it_is_told_to(
    fresh_database: str, scripts: Scripts, target: str, after: str | None
) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)

    run = runner.downgrade(fresh_database, target, location=scripts.folder)

    assert (run.before, run.after) == ("bbbb3333", after)


def test_a_downgrade_to_base_leaves_nothing(fresh_database: str, engine: Engine, scripts: Scripts) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)

    runner.downgrade(fresh_database, "base", location=scripts.folder)

    assert tables(engine) == set()


@pytest.mark.parametrize(
    ("command", "target", "error", "says"),
    [
        ("upgrade", "nonsense", UnknownRevision, "There is no revision"),
        ("upgrade", "aaaa1111x", UnknownRevision, "There is no revision"),
        ("upgrade", "aaa", UnknownRevision, "There is no revision"),
        ("upgrade", "", UnknownRevision, "There is no revision"),
        ("upgrade", "nonsense+1", UnknownRevision, "There is no revision"),
        ("upgrade", "aaaa", errors.WrongTarget, "is the beginning of several"),
        ("upgrade", "head+1", errors.WrongTarget, "counts too far"),
        ("upgrade", "base-1", errors.WrongTarget, "counts too far"),
        ("upgrade", "base", errors.WrongTarget, "is no target for"),
        ("upgrade", "-1", errors.WrongTarget, "is no target for"),
        ("downgrade", "nonsense", UnknownRevision, "There is no revision"),
        ("downgrade", "aaaa", errors.WrongTarget, "is the beginning of several"),
        ("downgrade", "+1", errors.WrongTarget, "is no target for"),
    ],
)
def test_a_target_that_is_none_is_refused_before_a_connection_is_made(
    scripts: Scripts, command: str, target: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        getattr(runner, command)(NOWHERE, target, location=scripts.folder)


def test_a_good_target_leads_to_the_database(scripts: Scripts) -> None:
    """So that the test above shows what it says."""
    with pytest.raises(ConnectError, match=r"db\.invalid"):
        runner.upgrade(NOWHERE, "head", location=scripts.folder)


def test_a_count_beyond_the_end_changes_nothing(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    with pytest.raises(errors.WrongTarget, match="from base there are 3 steps"):
        runner.upgrade(fresh_database, "+4", location=scripts.folder)

    assert tables(engine) == set()


def test_a_downgrade_cannot_go_up(fresh_database: str, scripts: Scripts) -> None:
    runner.upgrade(fresh_database, "aaaa1111", location=scripts.folder)

    with pytest.raises(errors.WrongTarget, match="dbschema upgrade bbbb3333"):
        runner.downgrade(fresh_database, "bbbb3333", location=scripts.folder)


def test_an_upgrade_to_what_is_there_already_does_nothing(fresh_database: str, scripts: Scripts) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)

    run = runner.upgrade(fresh_database, "aaaa1111", location=scripts.folder)

    assert (run.after, run.steps) == ("bbbb3333", ())


def test_a_revision_that_fails_leaves_nothing_and_those_before_it_stay(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    scripts.add("cccc4444", 'op.execute("CREATE TABLE half ()"); op.execute("SELECT 1 / 0")')

    with pytest.raises(errors.RevisionFailed) as caught:
        runner.upgrade(fresh_database, location=scripts.folder)

    error = caught.value
    assert (error.revision, error.doc, error.reason) == ("cccc4444", "Do cccc4444", "division by zero")
    assert error.done == ("aaaa1111", "aaaa2222", "bbbb3333")
    assert error.sqlstate == "22012"
    assert "\n" not in str(error)
    assert "half" not in tables(engine)
    assert runner.status(fresh_database, location=scripts.folder).current == ("bbbb3333",)


def test_a_first_revision_that_fails_leaves_the_database_as_it_was(
    fresh_database: str, engine: Engine, tmp_path: Path
) -> None:
    """Alembic makes its version table before, in a transaction of its own."""
    scripts = Scripts(tmp_path / "failing")
    scripts.add("aaaa1111", 'op.execute("CREATE TABLE half ()"); raise ValueError("no\\nway")')

    with pytest.raises(errors.RevisionFailed, match="ValueError: no way"):
        runner.upgrade(fresh_database, location=scripts.folder)

    assert tables(engine) == set()


def test_a_missing_privilege_within_a_revision_keeps_the_hint_of_the_server(
    fresh_database: str, tmp_path: Path
) -> None:
    scripts = Scripts(tmp_path / "failing")
    statement = "DO $$BEGIN RAISE insufficient_privilege USING MESSAGE='m', HINT='Have an administrator run: x'; END$$"
    scripts.add("aaaa1111", f'op.execute("{statement}")')

    with pytest.raises(errors.RevisionFailed) as caught:
        runner.upgrade(fresh_database, location=scripts.folder)

    assert caught.value.remedy == "Have an administrator run: x"


def test_a_database_that_holds_foreign_tables_is_refused_and_left_alone(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    with engine.begin() as connection:
        for number in range(7):
            connection.execute(text(f"CREATE TABLE theirs_{number} ()"))
        connection.execute(text("CREATE VIEW their_view AS SELECT 1"))
    before = tables(engine)

    with pytest.raises(errors.UnexpectedState) as caught:
        runner.upgrade(fresh_database, location=scripts.folder)

    assert "their_view, theirs_0" in str(caught.value)
    assert "and 3 more" in str(caught.value)
    assert tables(engine) == before


def test_tables_of_extensions_and_of_other_schemas_are_not_foreign(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION postgis"))
        connection.execute(text("CREATE SCHEMA theirs"))
        connection.execute(text("CREATE TABLE theirs.t ()"))

    run = runner.upgrade(fresh_database, location=scripts.folder)

    assert run.after == "bbbb3333"


def test_a_database_at_a_revision_of_a_newer_release_is_refused(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)
    (scripts.folder / "versions" / "bbbb3333.py").unlink()

    for go in (lambda: runner.upgrade(fresh_database, location=scripts.folder),
               lambda: runner.downgrade(fresh_database, "base", location=scripts.folder)):  # fmt: skip
        with pytest.raises(errors.DatabaseNewer) as caught:
            go()
        assert caught.value.unknown == ("bbbb3333",)

    found = runner.status(fresh_database, location=scripts.folder)
    assert (found.current, found.unknown, found.pending, found.up_to_date) == (
        ("bbbb3333",),
        ("bbbb3333",),
        (),
        False,
    )
    assert "bbbb3333" in tables(engine)


@pytest.mark.parametrize("other", ["aaaa1111", "theirs"])
def test_a_database_at_several_revisions_is_refused_also_where_newer_ones_are_tolerated(
    fresh_database: str, engine: Engine, scripts: Scripts, other: str
) -> None:
    """It has a second line of history, or was changed by hand: that nothing was done must not look like a success."""
    runner.upgrade(fresh_database, "aaaa2222", location=scripts.folder)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO alembic_version VALUES ('{other}')"))

    for go in (lambda: runner.upgrade(fresh_database, location=scripts.folder, tolerate_newer=True),
               lambda: runner.downgrade(fresh_database, "base", location=scripts.folder)):  # fmt: skip
        with pytest.raises(errors.UnexpectedState) as caught:
            go()
        revisions = ", ".join(sorted(("aaaa2222", other)))
        assert f"is at several revisions at once ({revisions})" in caught.value.what

    found = runner.status(fresh_database, location=scripts.folder)
    assert not found.up_to_date
    assert tables(engine) == {"aaaa1111", "aaaa2222", "alembic_version"}


def test_a_role_without_create_on_the_schema_is_refused_with_the_statement_to_run(
    limited: str, engine: Engine, scripts: Scripts
) -> None:
    with pytest.raises(MissingPrivilege) as caught:
        runner.upgrade(limited, location=scripts.folder)

    with engine.begin() as connection:
        connection.execute(text(str(caught.value.statement)))
    run = runner.upgrade(limited, location=scripts.folder)

    assert str(caught.value.statement).startswith("GRANT CREATE ON SCHEMA public TO ")
    assert run.after == "bbbb3333"


def test_a_role_without_a_schema_is_refused(limited: str, engine: Engine, scripts: Scripts) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {make_url(limited).username} SET search_path = nowhere"))

    with pytest.raises(MissingPrivilege, match="no schema to create tables in"):
        runner.upgrade(limited, location=scripts.folder)


def test_a_role_without_rights_may_find_that_nothing_is_to_do(
    fresh_database: str, limited: str, engine: Engine, scripts: Scripts
) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)
    with engine.begin() as connection:
        connection.execute(text(f"GRANT SELECT ON alembic_version TO {make_url(limited).username}"))

    assert runner.upgrade(limited, location=scripts.folder).steps == ()


def test_a_read_only_database_is_refused(fresh_database: str, engine: Engine, scripts: Scripts) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = make_url(fresh_database).database
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))

    with pytest.raises(NotWritable, match="default_transaction_read_only") as caught:
        runner.upgrade(fresh_database, location=scripts.folder)

    assert not caught.value.recovery


def test_a_run_waits_for_another_one_and_names_it_when_it_does_not_end(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    with lock.exclusive(opener(resolve(fresh_database)), "there"), pytest.raises(errors.RunnerBusy) as caught:
        runner.upgrade(fresh_database, location=scripts.folder, wait=0.2)

    assert caught.value.holder.startswith("process ")
    assert tables(engine) == set()


def test_a_lock_goes_with_its_holder(fresh_database: str, engine: Engine, scripts: Scripts) -> None:
    holder = lock.exclusive(opener(resolve(fresh_database)), "there")
    holder.__enter__()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )

    run = runner.upgrade(fresh_database, location=scripts.folder, wait=60)

    assert run.after == "bbbb3333"
    holder.__exit__(None, None, None)


def test_four_upgrades_at_once_make_one(fresh_database: str, tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "slow")
    scripts.add("aaaa1111", 'op.execute("SELECT pg_sleep(0.3)"); op.execute("CREATE TABLE t ()")')
    scripts.add_table("bbbb2222")
    runs: list[result.RunResult] = []

    def go() -> None:
        runs.append(runner.upgrade(fresh_database, location=scripts.folder, wait=120))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(len(run.steps) for run in runs) == [0, 0, 0, 2]
    assert {run.after for run in runs} == {"bbbb2222"}


def test_a_statement_waits_for_a_lock_of_others_only_so_long(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)

    with engine.connect() as other:
        other.execute(text("SELECT * FROM bbbb3333"))
        with pytest.raises(errors.RevisionFailed, match="did not get a lock"):
            runner.downgrade(fresh_database, "-1", location=scripts.folder, timeouts=Timeouts(retry=0))

    assert "bbbb3333" in tables(engine)


def test_whoever_listens_to_the_steps_may_go_away(
    fresh_database: str, engine: Engine, scripts: Scripts
) -> None:
    def gone(step: result.Step) -> None:
        if step.number == 2:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        runner.upgrade(fresh_database, on_step=gone, location=scripts.folder)

    assert tables(engine) == {"aaaa1111", "alembic_version"}


def test_the_state_of_an_empty_and_of_a_half_way_database(fresh_database: str, scripts: Scripts) -> None:
    empty = runner.status(fresh_database, location=scripts.folder)
    runner.upgrade(fresh_database, "+2", location=scripts.folder)
    half = runner.status(fresh_database, location=scripts.folder)

    assert (empty.current, empty.head, len(empty.pending), empty.postgis_version) == ((), "bbbb3333", 3, None)
    assert (half.current, [one.id for one in half.pending]) == (("aaaa2222",), ["bbbb3333"])
    assert int(half.server_version.partition(".")[0]) >= 15
    assert not half.in_recovery


def test_the_state_is_read_without_a_trace(fresh_database: str, engine: Engine, scripts: Scripts) -> None:
    runner.status(fresh_database, location=scripts.folder)

    assert tables(engine) == set()


def test_two_heads_are_refused(scripts: Scripts) -> None:
    scripts.add("cccc4444", below="aaaa1111")

    with pytest.raises(errors.BrokenScripts, match="several heads"):
        runner.upgrade(NOWHERE, location=scripts.folder)


def test_a_script_that_python_cannot_read_is_refused(scripts: Scripts) -> None:
    (scripts.folder / "versions" / "broken.py").write_text("def (")

    with pytest.raises(errors.BrokenScripts):
        runner.upgrade(NOWHERE, location=scripts.folder)


def test_a_script_that_fails_when_it_is_loaded_is_refused(scripts: Scripts) -> None:
    (scripts.folder / "versions" / "broken.py").write_text("revision, down_revision = 1 / 0, None")

    with pytest.raises(errors.BrokenScripts, match="ZeroDivisionError: division by zero"):
        runner.upgrade(NOWHERE, location=scripts.folder)


@pytest.mark.filterwarnings("ignore:Revision gone1234 referenced")  # Alembic says it as well
@pytest.mark.parametrize("named", ["down_revision", "depends_on"])
def test_a_script_that_builds_on_one_of_another_folder_is_refused(scripts: Scripts, named: str) -> None:
    """As the revisions of an application that has two lines of history."""
    source = (
        "revision, down_revision, depends_on = 'dddd5555', 'bbbb3333', None\n" + f"{named} = 'gone1234'\n"
    )
    (scripts.folder / "versions" / "dddd5555.py").write_text(source)

    with pytest.raises(errors.BrokenScripts, match="gone1234"):
        runner.upgrade(NOWHERE, location=scripts.folder)


def test_without_a_revision_there_is_nothing_to_do(fresh_database: str, tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "none")

    assert runner.upgrade(fresh_database, location=scripts.folder).steps == ()
    assert runner.sql(location=scripts.folder) == ""


@pytest.mark.parametrize(
    ("span", "statements"),
    [
        (None, ["CREATE TABLE aaaa1111", "CREATE TABLE aaaa2222", "CREATE TABLE bbbb3333"]),
        ("aaaa1111", ["CREATE TABLE aaaa1111"]),
        ("aaaa1111:", ["CREATE TABLE aaaa2222", "CREATE TABLE bbbb3333"]),
        (":aaaa1111", ["CREATE TABLE aaaa1111"]),
        ("aaaa1111:head-1", ["CREATE TABLE aaaa2222"]),
        ("head:aaaa1111", ["DROP TABLE bbbb3333", "DROP TABLE aaaa2222"]),
        ("head:base", ["DROP TABLE bbbb3333", "DROP TABLE aaaa2222", "DROP TABLE aaaa1111"]),
        ("head:head", []),
    ],
)
def test_sql_of_a_range_is_that_of_its_revisions_in_order(
    scripts: Scripts, span: str | None, statements: list[str]
) -> None:
    lines = runner.sql(span, location=scripts.folder).splitlines()

    found = [
        line.partition(" ()")[0].rstrip(";")
        for line in lines
        if " TABLE " in line and "alembic_version" not in line
    ]
    assert found == statements


@pytest.mark.parametrize(
    ("span", "error", "says"),
    [
        ("nonsense:head", UnknownRevision, "There is no revision"),
        ("base:nonsense", UnknownRevision, "There is no revision"),
        ("a:b:c", UnknownRevision, "There is no revision"),
        ("aaaa:head", errors.WrongTarget, "is the beginning of several"),
        ("+1", errors.WrongTarget, "counts from the current revision of a database"),
        ("-1:head", errors.WrongTarget, "counts from the current revision of a database"),
    ],
)
def test_sql_of_a_range_that_is_none_is_refused(
    scripts: Scripts, span: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        runner.sql(span, location=scripts.folder)


def test_sql_executed_by_psql_is_the_upgrade(
    fresh_database: str, engine: Engine, scripts: Scripts, new_database: Callable[..., str]
) -> None:
    script = runner.sql(location=scripts.folder)

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(script)

    found = runner.status(fresh_database, location=scripts.folder)
    assert found.up_to_date
    assert tables(engine) == {"aaaa1111", "aaaa2222", "bbbb3333", "alembic_version"}


def test_a_run_prints_nothing(
    fresh_database: str, scripts: Scripts, capfd: pytest.CaptureFixture[str]
) -> None:
    runner.upgrade(fresh_database, location=scripts.folder)
    runner.downgrade(fresh_database, "base", location=scripts.folder)
    runner.status(fresh_database, location=scripts.folder)

    assert capfd.readouterr() == ("", "")


def test_a_default_schema_that_the_revisions_do_not_speak_of_is_refused(fresh_database: str) -> None:
    """Their tables would stand in it, and their grants on another: an upgrade that works and leaves nothing usable."""
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA app"))
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET search_path = app, public"))

    with pytest.raises(MissingPrivilege, match=r"would be created in schema .app.*SET search_path = public"):
        runner.upgrade(fresh_database)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_class WHERE relname = 'alembic_version'")) == 0
