"""Declare commands and their options, and read a call by these declarations; `argparse` does the parsing.

A command is a function. Its parameters are annotated with an `Argument`, an `Option` or a `Flag`; its docstring is the
help. The function is called with the parameters that the call has, so defaults are those of the function:

    def check(url: Url = None, as_json: Json = False) -> int | None:
        '''Compare a database with the models.'''

The modules of commands must not use `from __future__ import annotations`: the annotations are read at run time.
"""

from argparse import SUPPRESS, ArgumentError, ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NoReturn, TypeAlias

from dbschema.errors import CallRefused


@dataclass(frozen=True)
class Argument:
    """A positional argument.

    Args:
        metavar: its name in the usage.
        help: its meaning.
        optional: the call may omit it; the function then has a default.
    """

    metavar: str
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Rest:
    """All words from the first that is no option of the command; they are passed on unread."""

    metavar: str
    help: str


@dataclass(frozen=True)
class Option:
    """An option with a value.

    Args:
        name: with its dashes.
        metavar: the name of the value.
        help: its meaning.
        parse: makes the value from its text; raises ValueError with what is wrong.
        variable: the environment variable that is read if the call does not have the option; blank counts as unset.
    """

    name: str
    metavar: str
    help: str
    parse: Callable[[str], object] = str
    variable: str | None = None


@dataclass(frozen=True)
class Flag:
    """An option without a value.

    Args:
        name: with its dashes.
        help: its meaning.
        negatable: `--no-name` sets it to False.
    """

    name: str
    help: str
    negatable: bool = False


Parameter: TypeAlias = Argument | Rest | Option | Flag
HELP = "help"


class Command:
    """A function as a command.

    Args:
        run: the function; returns the exit code, or None for 0.
        name: the name of the command; None: that of the function.
        short_help: `-h` shows the help, as `--help` does.
    """

    def __init__(
        self, run: Callable[..., int | None], *, name: str | None = None, short_help: bool = True
    ) -> None:
        self.run = run
        self.name = name or run.__name__
        self.help = run.__doc__ or ""
        self.short_help = short_help

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The declarations, by the names of the function's parameters."""
        annotations: Mapping[str, Any] = self.run.__annotations__
        return {name: hint.__metadata__[0] for name, hint in annotations.items() if name != "return"}

    @property
    def usage(self) -> str:
        """What follows the name of the command in a call."""
        words = ["[OPTIONS]"]
        for one in self.parameters.values():
            if isinstance(one, Rest):
                words.append(f"[{one.metavar}]...")
            elif isinstance(one, Argument):
                words.append(f"[{one.metavar}]" if one.optional else one.metavar)
        return " ".join(words)

    def call(self, words: Sequence[str], path: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
        """The arguments of the function in a call; None if the call asks for the help.

        Args:
            words: the words after the name of the command.
            path: the name of the command, with the program's.
            environ: the environment variables.

        Raises:
            CallRefused: the call is wrong.
        """
        found = read(self, path, words, self.parameters, short_help=self.short_help)
        if found.pop(HELP, False):
            return None
        for name, one in self.parameters.items():
            if name in found:
                continue
            if isinstance(one, Argument) and not one.optional:
                refuse(path, f"Missing argument '{one.metavar}'")
            if isinstance(one, Option) and one.variable and (text := environ.get(one.variable, "").strip()):
                found[name] = _converter(path, one.variable, one.parse)(text)
        return found


class Group:
    """Commands under a common name, in panels of the help.

    Args:
        name: the name of the group, the program's for all commands.
        help: what the commands have in common.
        panels: the commands, by the titles of the panels.
        flags: the options before the name of a command, by the names under which `leading` returns them.
    """

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002  as in argparse
        panels: Mapping[str, Sequence["Command | Group"]],
        *,
        flags: Mapping[str, Flag] | None = None,
    ) -> None:
        self.name = name
        self.help = help
        self.panels = panels
        self.parameters: Mapping[str, Parameter] = flags or {}
        self.usage = "[OPTIONS] COMMAND [ARGS]..."
        self.short_help = True

    def __iter__(self) -> Iterator["Command | Group"]:
        return (one for commands in self.panels.values() for one in commands)

    def leading(self, words: Sequence[str], path: str) -> tuple[dict[str, Any], list[str]]:
        """The options before the name of a command, and the words from that name on."""
        own = list(takewhile(lambda word: word.startswith("-") and word != "--", words))
        rest = list(words[len(own) :])
        found = read(self, path, own, self.parameters, short_help=True) if own else {}
        return found, rest[1:] if rest[:1] == ["--"] else rest

    def find(self, name: str, path: str) -> "Command | Group":
        """The command with this name."""
        names = {one.name: one for one in self}
        if name not in names:
            refuse(path, f"No such command '{name}'", _similar(name, names))
        return names[name]


def read(
    command: Command | Group,
    path: str,
    words: Sequence[str],
    parameters: Mapping[str, Parameter],
    *,
    short_help: bool,
) -> dict[str, Any]:
    """The values that `words` give to `parameters`, by name.

    Raises:
        CallRefused: a value is missing or wrong, or a word belongs to no parameter.
    """
    parser = plain_parser(command, path)
    options = _option_strings(parameters, short_help=short_help)
    rest = next((name for name, one in parameters.items() if isinstance(one, Rest)), None)
    own, passed = _split(words, options) if rest else (list(words), [])
    try:
        namespace, unknown = parser.parse_known_args(own)
    except ArgumentError as error:
        # Values are converted by functions that raise CallRefused: all that is left is a value too few or too many.
        takes_value = isinstance(options.get(error.argument_name or ""), Option)
        wrong = "requires an argument" if takes_value else "does not take a value"
        refuse(path, f"Option '{error.argument_name}' {wrong}")
    found = vars(namespace)
    if not found.get(HELP):
        _refuse_unknown(path, unknown, options, after_dashes="--" in own)
    return {**found, rest: passed} if rest else found


def plain_parser(command: Command | Group, path: str) -> ArgumentParser:
    """The parser of one command, without its help; of a group, for the options before the command."""
    parser = ArgumentParser(
        prog=path, usage=f"{path} {command.usage}", add_help=False, allow_abbrev=False, exit_on_error=False
    )
    add_parameters(command, path, parser, parser)
    return parser


def add_parameters(command: Command | Group, path: str, arguments: Any, options: Any) -> None:
    """Add the parameters of a command to a parser, or to two groups of it."""
    for name, one in command.parameters.items():
        if isinstance(one, Flag):
            action = BooleanOptionalAction if one.negatable else "store_true"
            options.add_argument(one.name, dest=name, action=action, default=SUPPRESS, help=one.help)
        elif isinstance(one, Option):
            convert = _converter(path, one.name, one.parse)
            options.add_argument(
                one.name, dest=name, metavar=one.metavar, type=convert, default=SUPPRESS, help=one.help
            )
        elif isinstance(one, Rest):
            arguments.add_argument(name, metavar=one.metavar, nargs="*", default=SUPPRESS, help=one.help)
        else:
            added = arguments.add_argument(
                name,
                metavar=one.metavar,
                nargs="?" if one.optional else None,
                default=SUPPRESS,
                help=one.help,
            )
            added.required = False  # a wrong option is reported before a missing argument
    options.add_argument(
        *(("-h", "--help") if command.short_help else ("--help",)),
        dest=HELP, action="store_true", default=SUPPRESS, help="Show this message and exit.",
    )  # fmt: skip


def refuse(path: str, what: str, hint: str = "") -> NoReturn:
    """Reject a call, with the place of its description.

    Raises:
        CallRefused: always.
    """
    raise CallRefused(what, f"{hint}See '{path} --help'")


def truth(text: str) -> bool:
    """A yes or a no.

    Raises:
        ValueError: it is neither.
    """
    if (word := text.lower()) in {"1", "true", "t", "yes", "y", "on"}:
        return True
    if word in {"0", "false", "f", "no", "n", "off"}:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def number(minimum: float | None = None) -> Callable[[str], float]:
    """A parser of numbers from `minimum` on."""
    return lambda text: _bounded(float, "a number", text, minimum)


def whole_number(minimum: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `minimum` on."""
    return lambda text: int(_bounded(int, "a whole number", text, minimum))


def _bounded(convert: Callable[[str], float], kind: str, text: str, minimum: float | None) -> float:
    try:
        value = convert(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {kind}") from None
    if minimum is not None and not value >= minimum:  # also what compares with nothing, such as nan
        raise ValueError(f"{text!r} is not greater than or equal to {minimum}")
    return value


def _converter(path: str, name: str, parse: Callable[[str], object]) -> Callable[[str], object]:
    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            refuse(path, f"Invalid value for '{name}': {error}")

    return convert


def _option_strings(parameters: Mapping[str, Parameter], *, short_help: bool) -> dict[str, Parameter | None]:
    found: dict[str, Parameter | None] = {"--help": None}
    if short_help:
        found["-h"] = None
    for one in parameters.values():
        if isinstance(one, Option | Flag):
            found[one.name] = one
            if isinstance(one, Flag) and one.negatable:
                found[f"--no-{one.name.removeprefix('--')}"] = one
    return found


def _split(words: Sequence[str], options: Mapping[str, Parameter | None]) -> tuple[list[str], list[str]]:
    """The options of the command at the beginning of `words`, and the words to pass on."""
    number = 0
    while number < len(words):
        name, equals, _ = words[number].partition("=")
        if name == "--":
            return list(words[:number]), list(words[number + 1 :])
        if name not in options:
            break
        number += 2 if isinstance(options[name], Option) and not equals else 1
    return list(words[:number]), list(words[number:])


def _refuse_unknown(
    path: str, words: Sequence[str], options: Mapping[str, Parameter | None], *, after_dashes: bool
) -> None:
    words = [word for word in words if word != "--"]
    if not words:
        return
    if not after_dashes and (wrong := [word for word in words if word.startswith("-")]):
        name = wrong[0].partition("=")[0]
        refuse(path, f"No such option: {name}", _similar(name, options))
    refuse(path, f"Got unexpected extra argument(s) ({' '.join(words)})")


def _similar(name: str, names: Mapping[str, object]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  for wrong calls only

    likely = [one for one in names if one.startswith(name) and len(name) > len("--")]
    found = likely or get_close_matches(name, names, n=3)
    return f"Did you mean {' or '.join(repr(one) for one in found)}? " if found else ""
