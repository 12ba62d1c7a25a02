"""`environment.run` finds the database that is meant, keeps what is not its own as it was, and says so on one line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import CommandLine, Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, NullPool, create_engine, text

from dbschema.errors import ConnectError
from dbschema.migrations import environment
from dbschema.migrations.errors import DatabaseNewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENV = """
from alembic import context
from dbschema.migrations import environment

def metadata():
    raise AssertionError("the models are imported")

environment.run(context, metadata)
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
    monkeypatch.setattr(environment, "_private_server", lambda: url)
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
    assert f"SET lock_timeout = '{environment.LOCK_TIMEOUT}';" in script
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
    with pytest.raises(CommandError, match="stands at revision newer"):
        alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")
    alembic(project, "-x", f"url={fresh_database}", "stamp", "--purge", "head")


def test_metadata_is_loaded_once_and_only_when_it_is_looked_at() -> None:
    calls = []
    first, second = MetaData(), MetaData()

    def load() -> list[MetaData]:
        calls.append(1)
        return [first, second]

    lazy = environment.LazyMetaData(load)

    assert (bool(lazy), calls) == (True, [])
    assert (list(lazy), len(lazy), lazy[1], calls) == ([first, second], 2, second, [1])


def test_autogenerate_looks_at_the_metadata(project: Path, fresh_database: str) -> None:
    alembic(project, "-x", f"url={fresh_database}", "upgrade", "head")

    with pytest.raises(AssertionError, match="the models are imported"):
        alembic(project, "-x", f"url={fresh_database}", "check")
