"""Declare commands and their options, and parse a call with `argparse` according to these declarations.

A command is a function. Its parameters are annotated with an `Argument`, an `Option` or a `Flag`; its docstring is the
help. The function gets only the parameters of the call, so the defaults are those of the function:

    def check(url: Url = None, as_json: Json = False) -> int | None:
        '''Compare a database with the models.'''

The modules of commands must not use `from __future__ import annotations`: the annotations are read at run time.
"""

from argparse import SUPPRESS, ArgumentError, ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NoReturn, TypeAlias

from dbschema.errors import CallRejected


@dataclass(frozen=True)
class Argument:
    """A positional argument.

    Args:
        metavar: its name in the usage.
        help: its meaning.
        optional: the call can omit it; the function must have a default.
    """

    metavar: str
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Rest:
    """All words from the first that is not an option of the command; the command gets them unparsed."""

    metavar: str
    help: str


@dataclass(frozen=True)
class Option:
    """An option with a value.

    Args:
        name: with its dashes.
        metavar: the name of the value.
        help: its meaning.
        parse: converts the text to the value; raises ValueError with the reason.
        variable: the environment variable to read if the call does not contain the option; blank is unset.
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
    """A command that calls a function.

    Args:
        run: the function; it returns the exit code, or None for 0.
        name: the name of the command; None: the name of the function.
        short_help: `-h` shows the help, in addition to `--help`.
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
        """Return the declarations, by the names of the function's parameters."""
        annotations: Mapping[str, Any] = self.run.__annotations__
        return {name: hint.__metadata__[0] for name, hint in annotations.items() if name != "return"}

    @property
    def usage(self) -> str:
        """Return the usage line without the name of the command."""
        words = ["[OPTIONS]"]
        for parameter in self.parameters.values():
            if isinstance(parameter, Rest):
                words.append(f"[{parameter.metavar}]...")
            elif isinstance(parameter, Argument):
                words.append(f"[{parameter.metavar}]" if parameter.optional else parameter.metavar)
        return " ".join(words)

    def call(self, words: Sequence[str], path: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
        """Parse a call and return the arguments of the function; None if the call asks for the help.

        Args:
            words: the words after the name of the command.
            path: the name of the program and of the command.
            environ: the environment variables.

        Raises:
            CallRejected: the call is wrong.
        """
        found = read(self, path, words, self.parameters, short_help=self.short_help)
        if found.pop(HELP, False):
            return None
        for name, parameter in self.parameters.items():
            if name in found:
                continue
            if isinstance(parameter, Argument) and not parameter.optional:
                reject(path, f"Missing argument '{parameter.metavar}'")
            if (
                isinstance(parameter, Option)
                and parameter.variable
                and (text := environ.get(parameter.variable, "").strip())
            ):
                found[name] = _converter(path, parameter.variable, parameter.parse)(text)
        return found


class Group:
    """A group of commands under a common name, in panels of the help.

    Args:
        name: the name of the group; the root group has the name of the program.
        help: the help of the group.
        panels: the commands, by the titles of the panels.
        flags: the options before the name of a command, by their names in the result of `leading`.
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
        return (command for commands in self.panels.values() for command in commands)

    def leading(self, words: Sequence[str], path: str) -> tuple[dict[str, Any], list[str]]:
        """Return the options before the name of a command, and the words from that name on.

        Raises:
            CallRejected: an option is wrong.
        """
        own = list(takewhile(lambda word: word.startswith("-") and word != "--", words))
        rest = list(words[len(own) :])
        found = read(self, path, own, self.parameters, short_help=True) if own else {}
        return found, rest[1:] if rest[:1] == ["--"] else rest

    def find(self, name: str, path: str) -> "Command | Group":
        """Return the command with this name.

        Raises:
            CallRejected: there is no such command.
        """
        names = {command.name: command for command in self}
        if name not in names:
            reject(path, f"No such command '{name}'", _similar(name, names))
        return names[name]


def read(
    command: Command | Group,
    path: str,
    words: Sequence[str],
    parameters: Mapping[str, Parameter],
    *,
    short_help: bool,
) -> dict[str, Any]:
    """Parse `words` and return the values of `parameters`, by name.

    Raises:
        CallRejected: a value is missing or wrong, or a word belongs to no parameter.
    """
    parser = plain_parser(command, path)
    options = _option_strings(parameters, short_help=short_help)
    rest = next((name for name, parameter in parameters.items() if isinstance(parameter, Rest)), None)
    own, passed = _split(words, options) if rest else (list(words), [])
    try:
        namespace, unknown = parser.parse_known_args(own)
    except ArgumentError as error:
        # The conversion of a value raises CallRejected, so argparse only reports a missing or a superfluous value.
        takes_value = isinstance(options.get(error.argument_name or ""), Option)
        wrong = "requires an argument" if takes_value else "does not take a value"
        reject(path, f"Option '{error.argument_name}' {wrong}")
    found = vars(namespace)
    if not found.get(HELP):
        _reject_unknown(path, unknown, options, after_dashes="--" in own)
    return {**found, rest: passed} if rest else found


def plain_parser(command: Command | Group, path: str) -> ArgumentParser:
    """Return the parser of a command without its help, or of the options before the command of a group."""
    parser = ArgumentParser(
        prog=path, usage=f"{path} {command.usage}", add_help=False, allow_abbrev=False, exit_on_error=False
    )
    add_parameters(command, path, parser, parser)
    return parser


def add_parameters(command: Command | Group, path: str, arguments: Any, options: Any) -> None:
    """Add the parameters of a command to a parser or to two of its groups."""
    for name, parameter in command.parameters.items():
        if isinstance(parameter, Flag):
            action = BooleanOptionalAction if parameter.negatable else "store_true"
            options.add_argument(
                parameter.name, dest=name, action=action, default=SUPPRESS, help=parameter.help
            )
        elif isinstance(parameter, Option):
            convert = _converter(path, parameter.name, parameter.parse)
            options.add_argument(
                parameter.name,
                dest=name,
                metavar=parameter.metavar,
                type=convert,
                default=SUPPRESS,
                help=parameter.help,
            )
        elif isinstance(parameter, Rest):
            arguments.add_argument(
                name, metavar=parameter.metavar, nargs="*", default=SUPPRESS, help=parameter.help
            )
        else:
            added = arguments.add_argument(
                name,
                metavar=parameter.metavar,
                nargs="?" if parameter.optional else None,
                default=SUPPRESS,
                help=parameter.help,
            )
            added.required = False  # report a wrong option before a missing argument
    options.add_argument(
        *(("-h", "--help") if command.short_help else ("--help",)),
        dest=HELP, action="store_true", default=SUPPRESS, help="Show this message and exit.",
    )  # fmt: skip


def reject(path: str, what: str, hint: str = "") -> NoReturn:
    """Reject a call with a reference to the help of the command.

    Raises:
        CallRejected: always.
    """
    raise CallRejected(what, f"{hint}See '{path} --help'")


def truth(text: str) -> bool:
    """Parse a yes or a no.

    Raises:
        ValueError: the text is neither.
    """
    if (word := text.lower()) in {"1", "true", "t", "yes", "y", "on"}:
        return True
    if word in {"0", "false", "f", "no", "n", "off"}:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def number(minimum: float | None = None) -> Callable[[str], float]:
    """Return a parser of numbers greater than or equal to `minimum`."""
    return lambda text: _bounded(float, "a number", text, minimum)


def whole_number(minimum: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers greater than or equal to `minimum`."""
    return lambda text: int(_bounded(int, "a whole number", text, minimum))


def _bounded(convert: Callable[[str], float], kind: str, text: str, minimum: float | None) -> float:
    try:
        value = convert(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {kind}") from None
    if minimum is not None and not value >= minimum:  # "not >=" also rejects nan
        raise ValueError(f"{text!r} is not greater than or equal to {minimum}")
    return value


def _converter(path: str, name: str, parse: Callable[[str], object]) -> Callable[[str], object]:
    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            reject(path, f"Invalid value for '{name}': {error}")

    return convert


def _option_strings(parameters: Mapping[str, Parameter], *, short_help: bool) -> dict[str, Parameter | None]:
    found: dict[str, Parameter | None] = {"--help": None}
    if short_help:
        found["-h"] = None
    for parameter in parameters.values():
        if isinstance(parameter, Option | Flag):
            found[parameter.name] = parameter
            if isinstance(parameter, Flag) and parameter.negatable:
                found[f"--no-{parameter.name.removeprefix('--')}"] = parameter
    return found


def _split(words: Sequence[str], options: Mapping[str, Parameter | None]) -> tuple[list[str], list[str]]:
    """Split `words` into the leading options of the command and the words to pass on."""
    number = 0
    while number < len(words):
        name, equals, _ = words[number].partition("=")
        if name == "--":
            return list(words[:number]), list(words[number + 1 :])
        if name not in options:
            break
        number += 2 if isinstance(options[name], Option) and not equals else 1
    return list(words[:number]), list(words[number:])


def _reject_unknown(
    path: str, words: Sequence[str], options: Mapping[str, Parameter | None], *, after_dashes: bool
) -> None:
    words = [word for word in words if word != "--"]
    if not words:
        return
    if not after_dashes and (wrong := [word for word in words if word.startswith("-")]):
        name = wrong[0].partition("=")[0]
        reject(path, f"No such option: {name}", _similar(name, options))
    reject(path, f"Got unexpected extra argument(s) ({' '.join(words)})")


def _similar(name: str, names: Mapping[str, object]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  for wrong calls only

    likely = [candidate for candidate in names if candidate.startswith(name) and len(name) > len("--")]
    matches = likely or get_close_matches(name, names, n=3)
    return f"Did you mean {' or '.join(repr(match) for match in matches)}? " if matches else ""
