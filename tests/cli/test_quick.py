"""The quick way into `upgrade` says and does what Typer's does, and leaves to it every call that it does not know."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import pytest

from dbschema.cli import quick
from dbschema.cli.quick import Call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Said: TypeAlias = "tuple[int, str, str]"

QUICK = ("-m", "dbschema")
BY_TYPER = ("-c", "from dbschema.cli.app import app; app(prog_name='dbschema')")
NOWHERE = "postgresql://ada:s3cr3t@127.0.0.1:1/shop"


@pytest.fixture
def both(
    environment: dict[str, str], tmp_path: Path, new_database: Callable[..., str]
) -> Callable[..., list[Said]]:
    """Calls `upgrade` by both ways, each on a database of its own; the database's name is the same in what they say."""

    def call(*arguments: str, prepared: str | None = None, migrated: bool = False, **more: str) -> list[Said]:
        said = []
        for way in (QUICK, BY_TYPER):
            url = new_database(migrated=migrated, driver="")
            if prepared is not None:
                with psycopg.connect(url) as connection:
                    connection.execute(prepared)
            done = subprocess.run(
                [sys.executable, *way, "upgrade", *(word.format(url=url) for word in arguments)],
                cwd=tmp_path,
                env={**environment, **{name: value.format(url=url) for name, value in more.items()}},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            name = url.rpartition("/")[2]
            said.append((done.returncode, done.stdout.replace(name, "DB"), done.stderr.replace(name, "DB")))
        return said

    return call


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--url", "{url}"], 0, "is now at revision"),
        (["head", "--no-compare", "--url={url}"], 0, "is now at revision"),
        (["--json", "--compare", "--url", "{url}"], 0, '"differences": []'),
        (["--url", ""], 2, "is empty"),
        (["--url", "mysql://ada:s3cr3t@there/shop"], 2, "speaks of 'mysql'"),
        (["--json", "--url", NOWHERE], 2, "Connection refused"),
    ],
)
def test_both_say_the_same(
    both: Callable[..., list[Said]], arguments: list[str], code: int, words: str
) -> None:
    by_quick, by_typer = both(*arguments)

    assert by_quick == by_typer
    assert by_quick[0] == code
    assert words in by_quick[1] + by_quick[2]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_both_say_the_same_where_nothing_is_to_do(both: Callable[..., list[Said]], more: list[str]) -> None:
    by_quick, by_typer = both(*more, migrated=True, DATABASE_URL="{url}")

    assert by_quick == by_typer
    assert by_quick[0] == 0


def test_both_say_the_same_of_a_newer_database(both: Callable[..., list[Said]]) -> None:
    newer = "UPDATE alembic_version SET version_num = 'later'"

    by_quick, by_typer = both("--url", "{url}", prepared=newer, migrated=True)

    assert by_quick == by_typer
    assert by_quick[0] == 2
    assert "stands at revision later" in by_quick[2]


def test_both_say_the_same_of_a_difference(both: Callable[..., list[Said]]) -> None:
    """Such as a default privilege, by which every new table differs from the models."""
    prepared = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC"

    by_quick, by_typer = both("--json", "--url", "{url}", prepared=prepared)

    assert by_quick == by_typer
    assert by_quick[0] == 1


def test_both_say_the_same_of_a_wrong_variable(both: Callable[..., list[Said]]) -> None:
    by_quick, by_typer = both("--url", "{url}", DBSCHEMA_WAIT="soon")

    assert by_quick == by_typer
    assert by_quick[0] == 2
    assert "DBSCHEMA_WAIT" in by_quick[2]


def test_both_show_the_same_on_a_terminal(
    environment: dict[str, str], tmp_path: Path, new_database: Callable[..., str]
) -> None:
    shown = []
    for way in (QUICK, BY_TYPER):
        url = new_database(driver="")
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, *way, "upgrade", "--no-compare", "--url", url], cwd=tmp_path,
            env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
        ):  # fmt: skip
            os.close(theirs)
            text = read(ours)
        # Without the spinner's turns; what a step took differs.
        lines = {line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) if line}
        lines = {re.sub(r"\d\.\d s", "TIME", line) for line in lines if not re.match(r"[⠀-⣿] ", line)}
        shown.append({line.replace(url.rpartition("/")[2], "DB") for line in lines})

    assert shown[0] == shown[1]
    assert any(line.startswith("✓ Apply 1/") for line in shown[0])


def read(descriptor: int) -> str:
    """Everything that is shown until the program has ended."""
    found = b""
    while select.select([descriptor], [], [], 60)[0]:
        try:
            found += os.read(descriptor, 65536)
        except OSError:  # the other side has closed
            break
    os.close(descriptor)
    return found.decode()


def test_nobody_who_reads_ends_both_quietly(
    environment: dict[str, str], tmp_path: Path, database: str
) -> None:
    codes = []
    for way in (QUICK, BY_TYPER):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, *way, "upgrade", "--url", database],
            cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(writing)
        codes.append((done.returncode, done.stderr))

    assert codes == [(141, "")] * 2


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["upgrade"], Call()),
        (["upgrade", "head"], Call()),
        (["upgrade", "--no-compare", "head", "--url", "a"], Call(url="a", compare=False)),
        (["upgrade", "--url=a=b", "--json"], Call(url="a=b", as_json=True)),
        (["upgrade", "--url", ""], Call(url="")),
        (["upgrade", "--url="], Call(url="")),
        (["upgrade", "--compare"], Call()),
        ([], None),
        (["status"], None),
        (["--debug", "upgrade"], None),
        (["upgrade", "--help"], None),
        (["upgrade", "+1"], None),
        (["upgrade", "head", "head"], None),
        (["upgrade", "--url"], None),
        (["upgrade", "--url", "--json"], None),
        (["upgrade", "--url", "a", "--url", "b"], None),
        (["upgrade", "--compare", "--no-compare"], None),
        (["upgrade", "--within", "3"], None),
        (["upgrade", "--", "head"], None),
        (["upgrade", "--no-comp"], None),
        (["upgrade", "-h"], None),
    ],
)
def test_only_calls_without_a_question_are_taken(arguments: list[str], call: Call | None) -> None:
    assert quick.read(arguments) == call


def test_a_developer_who_wants_tracebacks_gets_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBSCHEMA_DEBUG", "1")

    assert quick.read(["upgrade"]) is None
