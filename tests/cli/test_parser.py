"""How a call is read: words become the arguments of a command's function, or one line that says what is wrong."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from dbschema.errors import CallRejected
from dbschema.tools.cli.app import ROOT
from dbschema.tools.cli.parser import Argument, Command, Group, Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., subprocess.CompletedProcess[str]]

KEY = "0190b6a0-0000-7000-8000-000000000000"


def commands(group: Group = ROOT, path: str = "") -> Iterator[tuple[str, Command]]:
    for one in group:
        name = f"{path} {one.name}".strip()
        if isinstance(one, Group):
            yield from commands(one, name)
        else:
            yield name, one


COMMANDS = dict(commands())


def call(text: str, *words: str, **environ: str) -> dict[str, Any] | None:
    """The arguments that a call gives to the function of its command."""
    name = next(name for name in sorted(COMMANDS, key=len, reverse=True) if f"{text} ".startswith(f"{name} "))
    return COMMANDS[name].call([*text[len(name) :].split(), *words], f"dbschema {name}", environ)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("upgrade", {}),
        ("upgrade head", {"revision": "head"}),
        ("upgrade --no-compare head --url a", {"compare": False, "revision": "head", "url": "a"}),
        ("upgrade --url a head --json", {"url": "a", "revision": "head", "as_json": True}),
        ("upgrade --url=a=b --json", {"url": "a=b", "as_json": True}),
        ("upgrade --url=", {"url": ""}),
        ("upgrade --compare", {"compare": True}),
        ("upgrade --compare --no-compare", {"compare": False}),
        ("upgrade --no-compare --compare", {"compare": True}),
        ("upgrade --url a --url b", {"url": "b"}),
        ("upgrade +1", {"revision": "+1"}),
        ("upgrade -1", {"revision": "-1"}),
        ("upgrade -- -1", {"revision": "-1"}),
        ("upgrade -- --json", {"revision": "--json"}),
        ("downgrade -1 --url a", {"revision": "-1", "url": "a"}),
        ("downgrade --url a -1", {"revision": "-1", "url": "a"}),
        ("upgrade --wait -1 --within 0", {"wait": -1.0, "within": 0.0}),
        ("upgrade --scripts a/b", {"scripts": Path("a/b")}),
        ("sql", {}),
        ("sql a:b", {"span": "a:b"}),
        ("tenant create a --url u b", {"name": "a", "slug": "b", "url": "u"}),
        (f"tenant create a b --id {KEY}", {"name": "a", "slug": "b", "key": UUID(KEY)}),
        ("tenant remove a --batch 3", {"name": "a", "batch": 3}),
        ("psql", {"arguments": []}),
        ("psql --url a -Atc x", {"url": "a", "arguments": ["-Atc", "x"]}),
        ("psql --url=a -- -Atc x", {"url": "a", "arguments": ["-Atc", "x"]}),
        ("psql -h there --url a", {"arguments": ["-h", "there", "--url", "a"]}),
        ("psql -- --help", {"arguments": ["--help"]}),
    ],
)
def test_the_words_of_a_call_become_arguments(text: str, arguments: dict[str, Any]) -> None:
    assert call(text) == arguments


def test_an_empty_value_is_a_value() -> None:
    assert call("upgrade", "--url", "") == {"url": ""}


@pytest.mark.parametrize(
    "text", ["upgrade -h", "upgrade --help", "downgrade --help", "status nonsense --help", "psql --help"]
)
def test_a_call_asks_for_the_help_whatever_else_is_in_it(text: str) -> None:
    assert call(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status --jsn", "No such option: --jsn. Did you mean '--json'? See 'dbschema status --help'."),
        ("status --js", "No such option: --js. Did you mean '--json'? See 'dbschema status --help'."),
        ("status --j=3", "No such option: --j. Did you mean '--json'? See 'dbschema status --help'."),
        (
            "upgrade --no-comp",
            "No such option: --no-comp. Did you mean '--no-compare'? See 'dbschema upgrade --help'.",
        ),
        ("downgrade --jsn", "No such option: --jsn. Did you mean '--json'? See 'dbschema downgrade --help'."),
        ("upgrade -x", "No such option: -x. See 'dbschema upgrade --help'."),
        ("status a b", "Got unexpected extra argument(s) (a b). See 'dbschema status --help'."),
        ("status -- --url", "Got unexpected extra argument(s) (--url). See 'dbschema status --help'."),
        ("upgrade -- head --url", "Got unexpected extra argument(s) (--url). See 'dbschema upgrade --help'."),
        ("downgrade", "Missing argument 'REV'. See 'dbschema downgrade --help'."),
        ("tenant create a", "Missing argument 'SLUG'. See 'dbschema tenant create --help'."),
        ("status --url", "Option '--url' requires an argument. See 'dbschema status --help'."),
        ("status --url --json", "Option '--url' requires an argument. See 'dbschema status --help'."),
        ("psql --url", "Option '--url' requires an argument. See 'dbschema psql --help'."),
        ("status --json=3", "Option '--json' does not take a value. See 'dbschema status --help'."),
        (
            "upgrade --wait x",
            "Invalid value for '--wait': 'x' is not a number. See 'dbschema upgrade --help'.",
        ),
        (
            "upgrade --within nan",
            "Invalid value for '--within': 'nan' is not greater than or equal to 0. See 'dbschema upgrade --help'.",
        ),
        (
            "tenant remove a --batch 1.5",
            "Invalid value for '--batch': '1.5' is not a whole number. See 'dbschema tenant remove --help'.",
        ),
        (
            "tenant create a b --id 3",
            "Invalid value for '--id': '3' is not a UUID. See 'dbschema tenant create --help'.",
        ),
    ],
)
def test_a_wrong_call_is_told_with_the_place_of_its_help(text: str, message: str) -> None:
    with pytest.raises(CallRejected) as caught:
        call(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upgrad"], "No such command 'upgrad'. Did you mean 'upgrade'? See 'dbschema --help'."),
        (["tenant", "lst"], "No such command 'lst'. Did you mean 'list'? See 'dbschema tenant --help'."),
        (["tenant", "--jsn"], "No such option: --jsn. See 'dbschema tenant --help'."),
        (["--debg", "status"], "No such option: --debg. Did you mean '--debug'? See 'dbschema --help'."),
        (["status", "--debug"], "No such option: --debug. See 'dbschema status --help'."),
        (["tenant"], "Missing command. See 'dbschema tenant --help'."),
    ],
    ids=" ".join,
)
def test_a_mistyped_command_is_told_with_the_likely_one(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments)

    assert (done.returncode, done.stderr) == (2, f"Error: {message} [call-rejected]\n")


def test_an_option_goes_before_its_variable_and_a_blank_variable_is_none() -> None:
    assert call("upgrade", DBSCHEMA_MODELS="shop", DBSCHEMA_SCRIPT_LOCATION="a") == {
        "models": "shop",
        "scripts": Path("a"),
    }
    assert call("upgrade --models m", DBSCHEMA_MODELS="shop") == {"models": "m"}
    assert call("upgrade", DBSCHEMA_MODELS=" ", DBSCHEMA_SCRIPT_LOCATION="") == {}


@pytest.mark.parametrize(
    ("text", "traced"),
    [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("off", False), ("", False), (" ", False)],
)
def test_the_variable_for_tracebacks_is_a_yes_or_a_no(run: Run, text: str, traced: bool) -> None:
    done = run("status", "--url", "nonsense", DBSCHEMA_DEBUG=text)

    assert done.returncode == 2
    assert ("Traceback" in done.stderr) is traced


def test_a_variable_that_is_neither_yes_nor_no_is_told(run: Run) -> None:
    done = run("status", DBSCHEMA_DEBUG="perhaps")

    assert done.stderr == (
        "Error: Invalid value for 'DBSCHEMA_DEBUG': 'perhaps' is neither yes nor no. See 'dbschema --help'. [call-rejected]\n"
    )


def test_a_wrong_call_has_no_traceback(run: Run) -> None:
    assert "Traceback" not in run("--debug", "status", "--nonsense").stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_each_parameter_of_a_command_is_declared_and_has_the_default_that_the_declaration_needs(
    name: str,
) -> None:
    command = COMMANDS[name]
    parameters = inspect.signature(command.run).parameters

    assert list(command.parameters) == list(parameters)
    for key, one in command.parameters.items():
        required = isinstance(one, Rest) or (isinstance(one, Argument) and not one.optional)
        assert (parameters[key].default is inspect.Parameter.empty) is required, key


@pytest.mark.parametrize("name", ["", "tenant", *COMMANDS])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_help_names_all_and_stays_within_the_terminal(run: Run, name: str, columns: int) -> None:
    done = run(*name.split(), "--help", COLUMNS=str(columns))

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith(f"Usage: dbschema {name}".rstrip())
    assert max(map(len, lines)) <= columns
    for one in COMMANDS[name].parameters.values() if name in COMMANDS else ():
        assert any(
            word in done.stdout
            for word in (getattr(one, "name", None), getattr(one, "metavar", None))
            if word
        )


def test_the_help_is_coloured_on_a_terminal_only(run: Run) -> None:
    assert "\x1b[" in run("upgrade", "--help", FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[" not in run("upgrade", "--help").stdout


def test_a_reader_that_goes_away_ends_an_upgrade_quietly(
    environment: dict[str, str], tmp_path: Path, database: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dbschema", "upgrade", "--url", database],
        cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, "")
