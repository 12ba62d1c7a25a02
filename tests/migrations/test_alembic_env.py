"""`alembic_env.run` finds the database that is meant, keeps what is not its own as it was, and says so on one line."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import CommandLine, Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, NullPool, create_engine, inspect, text

from clock import FastForward
from dbschema.errors import ConnectError, MigrationIncomplete
from dbschema.migrations import alembic_env, step_runner
from dbschema.migrations.errors import BrokenScripts, DatabaseNewer, RevisionFailed, UnexpectedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENV = """
from alembic import context
from dbschema.migrations import alembic_env

def metadata():
    raise AssertionError("the models are imported")

alembic_env.run(context, metadata, compare=False)
"""
REVISION = '''
"""One table."""
from alembic import op

revision = "one"
down_revision = None

def upgrade():
    op.execute("CREATE TABLE one AS SELECT current_setting('lock_timeout') AS lock_timeout, 'a%b' AS percent")

def downgrade():
    op.execute("DROP TABLE one")
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An application with an environment and a revision of its own."""
    scripts = tmp_path / "scripts"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENV, encoding="utf-8")
    (scripts / "versions" / "one.py").write_text(REVISION, encoding="utf-8")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/scripts\npath_separator = os\n", encoding="utf-8")
    return ini


@pytest.fixture
def config(project: Path) -> Config:
    return Config(str(project))


@pytest.fixture
def plain(fresh_database: str) -> Iterator[Connection]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def alembic(project: Path, *arguments: str) -> None:
    CommandLine("alembic").main(["--raiseerr", "-c", str(project), *arguments])


def rows(url: str) -> list[tuple[str, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM one"))]


def by_argument(project: Path, url: str, _: pytest.MonkeyPatch) -> None:
    alembic(project, "-x", f"url={url}", "upgrade", "head")


def by_variable(project: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    alembic(project, "upgrade", "head")


def by_ini_file(project: Path, url: str, _: pytest.MonkeyPatch) -> None:
    project.write_text(project.read_text(encoding="utf-8") + f"sqlalchemy.url = {url}\n", encoding="utf-8")
    alembic(project, "upgrade", "head")


def by_private_server(project: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alembic_env, "_private_server", lambda: url)
    alembic(project, "upgrade", "head")


def by_attribute(project: Path, url: str, _: pytest.MonkeyPatch) -> None:
    command.upgrade(Config(str(project), attributes={"url": url}), "head")


WAYS = [by_argument, by_variable, by_ini_file, by_private_server, by_attribute]


@pytest.mark.parametrize("way", WAYS)
def test_an_address_is_found_and_its_connection_waits_for_locks_only_so_long(
    way: Callable[[Path, str, pytest.MonkeyPatch], None],
    project: Path,
    fresh_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way(project, fresh_database, monkeypatch)

    assert rows(fresh_database) == [("50ms", "a%b")]


def test_the_argument_comes_before_the_variable_and_that_before_the_ini_file(
    project: Path, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    project.write_text(
        project.read_text(encoding="utf-8") + f"sqlalchemy.url = {nowhere}\n", encoding="utf-8"
    )
    monkeypatch.setenv("DATABASE_URL", fresh_database)

    alembic(project, "upgrade", "head")
    monkeypatch.setenv("DATABASE_URL", nowhere)
    alembic(project, "-x", f"url={fresh_database}", "downgrade", "base")

    with pytest.raises(CommandError, match="DATABASE_URL"):
        alembic(project, "upgrade", "head")


def test_a_given_connection_is_used_committed_and_stays_open(
    config: Config, plain: Connection, fresh_database: str
) -> None:
    config.attributes["connection"] = plain

    command.upgrade(config, "head")

    assert not plain.in_transaction()
    assert rows(fresh_database) == [("0", "a%b")]
    assert plain.scalar(text("SHOW lock_timeout")) == "0"


def test_a_transaction_of_the_caller_is_left_to_the_caller(config: Config, plain: Connection) -> None:
    config.attributes["connection"] = plain

    with plain.begin() as transaction:
        command.upgrade(config, "head")
        inside = plain.scalar(text("SELECT count(*) FROM one"))
        transaction.rollback()

    assert inside == 1
    assert plain.scalar(text("SELECT to_regclass('one')")) is None


def test_reading_leaves_a_given_connection_without_a_transaction(config: Config, plain: Connection) -> None:
    config.attributes["connection"] = plain

    command.current(config)

    assert not plain.in_transaction()


def test_offline_needs_no_server_and_doubles_no_percent_sign(config: Config) -> None:
    config.output_buffer = io.StringIO()

    command.upgrade(config, "head", sql=True)

    script = config.output_buffer.getvalue()
    assert script.startswith("SET client_encoding = 'UTF8';")
    assert f"SET lock_timeout = '{alembic_env.LOCK_TIMEOUT}';" in script
    assert "'a%b'" in script


def test_the_command_line_says_on_one_line_what_is_wrong(project: Path) -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/nothing"

    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(project), "-x", f"url={nowhere}", "upgrade", "head"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )

    (line,) = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if line.strip()]
    assert done.returncode != 0
    assert "127.0.0.1:1" in line
    assert "-x url" in line
    assert "secret" not in line


def test_a_program_gets_the_error_with_its_fields(config: Config) -> None:
    config.attributes["url"] = "postgresql://nobody@127.0.0.1:1/nothing"

    with pytest.raises(ConnectError) as caught:
        command.upgrade(config, "head")

    assert caught.value.next_step


def test_an_unknown_argument_is_refused(project: Path) -> None:
    """A misspelled -x would otherwise migrate the private server, or whatever DATABASE_URL names."""
    with pytest.raises(CommandError, match="-x uri is unknown"):
        alembic(project, "-x", "uri=postgresql://somewhere", "upgrade", "head")


def with_models(project: Path, models: str) -> None:
    """Let the environment compare with the MetaData that the expression `models` makes."""
    (project.parent / "scripts" / "env.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import context\n"
        "from dbschema.migrations import alembic_env\n\n"
        f"def metadata():\n    made = sa.MetaData()\n    {models}\n    return made\n\n"
        "alembic_env.run(context, metadata)\n",
        encoding="utf-8",
    )


AS_REVISED = "sa.Table('one', made, sa.Column('lock_timeout', sa.Text), sa.Column('percent', sa.Text))"


def test_an_upgrade_is_compared_with_the_models(project: Path, fresh_database: str) -> None:
    with_models(project, AS_REVISED)

    alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")


def test_an_upgrade_that_made_something_else_than_the_models_says_so_and_stays(
    project: Path, fresh_database: str
) -> None:
    with_models(project, AS_REVISED.replace("'percent'", "'per_cent'"))

    with pytest.raises(CommandError, match=r"differs from the models: .*per_cent"):
        alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")

    assert len(rows(fresh_database)) == 1
    alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")  # no step, nothing compared


@pytest.mark.parametrize("said", ["no", "NO", "0", "false"])
def test_the_comparison_is_left_out_where_one_says_so(project: Path, fresh_database: str, said: str) -> None:
    with_models(project, "raise AssertionError('the models are imported')")

    alembic(project, "-x", f"url={fresh_database}", "-x", f"compare={said}", "upgrade", "head")

    assert len(rows(fresh_database)) == 1


def test_a_program_leaves_the_comparison_out_by_an_attribute(
    config: Config, project: Path, fresh_database: str
) -> None:
    with_models(project, "raise AssertionError('the models are imported')")
    config.attributes.update(url=fresh_database, compare=False)

    command.upgrade(config, "head")

    assert len(rows(fresh_database)) == 1


def test_a_stamp_and_a_downgrade_are_not_compared(config: Config, project: Path, fresh_database: str) -> None:
    """A stamp writes down what somebody knows, and says nothing of what it leads to."""
    with_models(project, "raise AssertionError('the models are imported')")
    config.attributes["url"] = fresh_database

    command.stamp(config, "head")
    command.stamp(config, "base")
    config.attributes["compare"] = "no"
    command.upgrade(config, "head")
    del config.attributes["compare"]
    command.downgrade(config, "base")

    with pytest.raises(AssertionError, match="the models are imported"):
        command.upgrade(config, "head")


def test_a_deadline_stops_between_two_steps_and_says_what_is_left(
    config: Config, project: Path, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (name, below) in enumerate([("two", "one"), ("three", "two")]):
        source = REVISION.replace('revision = "one"', f'revision = "{name}"').replace(
            "TABLE one", f"TABLE {name}"
        )
        slow = (
            source.replace("def upgrade():", "def upgrade():\n    guard.time.ahead = 601").replace(
                "from alembic import op",
                "from alembic import op\nfrom dbschema.migrations import step_runner as guard",
            )
            if not number
            else source
        )
        (project.parent / "scripts" / "versions" / f"{name}.py").write_text(
            slow.replace("down_revision = None", f'down_revision = "{below}"'), encoding="utf-8"
        )
    monkeypatch.setattr(step_runner, "time", FastForward())
    config.attributes.update(url=fresh_database, within=600)

    with pytest.raises(MigrationIncomplete) as caught:
        command.upgrade(config, "head")
    config.attributes["within"] = ""
    command.upgrade(config, "head")

    assert (caught.value.done, caught.value.left) == (("one", "two"), ("three",))
    assert len(rows(fresh_database)) == 1


def test_a_deadline_on_the_command_line_is_an_error_on_one_line(project: Path, fresh_database: str) -> None:
    with pytest.raises(CommandError, match="no revision done, one left"):
        alembic(project, "-x", f"url={fresh_database}", "-x", "within=0", "upgrade", "head")

    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == []


@pytest.mark.parametrize("wrong", ["within=soon", "within=-1", "within=nan", "compare=perhaps"])
def test_a_value_that_means_nothing_is_refused_and_nothing_changed(
    project: Path, fresh_database: str, wrong: str
) -> None:
    with pytest.raises(CommandError, match=f"-x {wrong.partition('=')[0]}"):
        alembic(project, "-x", f"url={fresh_database}", "-x", wrong, "upgrade", "head")

    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == []


def test_tables_that_no_revision_made_are_left_alone_as_by_every_run(
    config: Config, fresh_database: str
) -> None:
    with create_engine(fresh_database, poolclass=NullPool).begin() as connection:
        connection.execute(text("CREATE TABLE elsewhere ()"))
    config.attributes["url"] = fresh_database

    with pytest.raises(UnexpectedState, match="elsewhere"):
        command.upgrade(config, "head")

    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == ["elsewhere"]
    command.stamp(config, "head")  # what somebody knows, he may write down


def test_a_failed_revision_is_named_with_what_the_server_said(
    config: Config, project: Path, fresh_database: str
) -> None:
    revision = project.parent / "scripts" / "versions" / "one.py"
    revision.write_text(REVISION.replace("AS SELECT", "AS SELECT 1 / 0 AS n,"), encoding="utf-8")
    config.attributes["url"] = fresh_database

    with pytest.raises(RevisionFailed, match="division by zero") as caught:
        command.upgrade(config, "head")

    assert (caught.value.revision, caught.value.doc, caught.value.sqlstate) == ("one", "One table.", "22012")
    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == []


def test_several_heads_are_refused_also_where_all_are_asked_for(
    config: Config, project: Path, fresh_database: str
) -> None:
    for name in ("left", "right"):
        source = REVISION.replace('revision = "one"', f'revision = "{name}"').replace(
            "TABLE one", f"TABLE {name}"
        )
        (project.parent / "scripts" / "versions" / f"{name}.py").write_text(
            source.replace("down_revision = None", 'down_revision = "one"'), encoding="utf-8"
        )
    config.attributes["url"] = fresh_database

    with pytest.raises(BrokenScripts, match="several heads"):
        command.upgrade(config, "heads")

    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == []


def test_the_last_downgrade_leaves_nothing(config: Config, fresh_database: str) -> None:
    config.attributes["url"] = fresh_database
    command.upgrade(config, "head")

    command.downgrade(config, "base")

    assert inspect(create_engine(fresh_database, poolclass=NullPool)).get_table_names() == []


def test_a_terminal_is_told_of_each_step(project: Path, fresh_database: str) -> None:
    """By the real program, whose standard error is a terminal."""
    main, terminal = pty.openpty()
    command_line = [sys.executable, "-m", "alembic", "-c", str(project), "-x", f"url={fresh_database}"]

    done = subprocess.run(
        [*command_line, "upgrade", "head"], stderr=terminal, stdout=subprocess.PIPE, check=True
    )
    os.close(terminal)
    shown = os.read(main, 10_000).decode()
    os.close(main)
    silent = subprocess.run([*command_line, "downgrade", "base"], capture_output=True, text=True, check=True)

    assert "Apply 1/1: one One table." in shown
    assert (done.stdout, silent.stdout, silent.stderr) == (b"", "", "")


def test_a_newer_database_is_told_as_such_by_alembic_too(
    config: Config, project: Path, fresh_database: str
) -> None:
    config.attributes["url"] = fresh_database
    command.upgrade(config, "head")
    with create_engine(fresh_database, poolclass=NullPool).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'newer'"))

    with pytest.raises(DatabaseNewer) as caught:
        command.upgrade(config, "head")

    assert caught.value.unknown == ("newer",)
    with pytest.raises(CommandError, match="is at revision newer"):
        alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")
    alembic(project, "-x", f"url={fresh_database}", "stamp", "--purge", "head")


def test_metadata_is_loaded_once_and_only_when_it_is_looked_at() -> None:
    calls = []
    first, second = MetaData(), MetaData()

    def load() -> list[MetaData]:
        calls.append(1)
        return [first, second]

    lazy = alembic_env.LazyMetaData(load)

    assert (bool(lazy), calls) == (True, [])
    assert (list(lazy), len(lazy), lazy[1], calls) == ([first, second], 2, second, [1])


def test_autogenerate_looks_at_the_metadata(project: Path, fresh_database: str) -> None:
    alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")

    with pytest.raises(AssertionError, match="the models are imported"):
        alembic(project, "-x", f"url={fresh_database}", "check")
