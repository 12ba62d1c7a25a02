"""What a command shows: text for people, or JSON for programs; colour and spinners on a terminal only.

With JSON, standard output holds one value and nothing else; what happens meanwhile is told on standard error, on a
terminal only.

How differences between a database and the models are shown, to people and to programs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from dbschema.environment import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dbschema.catalog import Difference


TERMINAL: Final = Variable(
    "TERM",
    "The kind of the terminal; `dumb`: no colour and no progress.",
    reader="command line",
    example="dumb",
)
NO_COLOR: Final = Variable(
    "NO_COLOR", "Show no colour, if it is set and not empty.", reader="command line", example="1"
)


def one_line(text: str) -> str:
    """`text` without line breaks and without signs that steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees what is written to `stream`, on something that can move its cursor."""
    return stream.isatty() and os.environ.get(TERMINAL) != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether `stream` may be coloured: a terminal, and nobody has set NO_COLOR."""
    return is_terminal(stream) and not os.environ.get(NO_COLOR)


def ask(question: str, stream: TextIO) -> str:
    """Show a question on `stream` and read the answer from standard input, without spaces around it."""
    stream.write(f"{question} ")
    stream.flush()
    return sys.stdin.readline().strip()


def plural(number: int, one: str, many: str | None = None) -> str:
    """'1 row', '2 rows'."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


class Screen:
    """Where a command writes.

    Args:
        as_json: standard output is kept for one JSON value.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """A line for people."""
        if not self.as_json:
            print(text, flush=True)  # noqa: T201  this is where the command line prints

    def note(self, text: str) -> None:
        """A line beside the result, on standard error."""
        print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201  as above

    def data(self, value: Mapping[str, Any]) -> None:
        """The result for programs."""
        if self.as_json:
            print(json.dumps(value, indent=2), flush=True)  # noqa: T201  as above

    def mark(self, passed: bool) -> str:
        """✓ or ✗, or words where standard output cannot write them; coloured on a terminal."""
        sign = "✓" if passed else "✗"
        try:
            sign.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            sign = "ok" if passed else "FAILED"
        if not coloured(sys.stdout):
            return sign
        return f"\x1b[{32 if passed else 31}m{sign}\x1b[0m"

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Tell of a step that takes time: a spinner while it lasts and a line after it, or, elsewhere, a line before."""
        if not is_terminal(sys.stderr):
            self.line(f"{text} ...")
            yield
            return
        from rich.console import Console  # noqa: PLC0415  needed on a terminal only
        from rich.text import Text  # noqa: PLC0415  as above

        began = time.monotonic()
        with Console(stderr=True).status(Text(text)):
            yield
        self.line(f"{self.mark(True)} {text} ({time.monotonic() - began:.1f} s)")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Columns under their titles; numbers to the right."""
        if self.as_json:
            return
        listed = [list(row) for row in rows]
        if is_terminal(sys.stdout):
            from rich.console import Console  # noqa: PLC0415  needed on a terminal only
            from rich.table import Table  # noqa: PLC0415  as above
            from rich.text import Text  # noqa: PLC0415  as above

            table = Table(box=None, pad_edge=False, header_style="bold")
            for number, title in enumerate(columns):
                right = bool(listed) and all(isinstance(row[number], int) for row in listed)
                table.add_column(title, justify="right" if right else "left")
            for row in listed:
                table.add_row(*(Text(_cell(value)) for value in row))
            Console().print(table)
            return
        texts = [[_cell(value) for value in row] for row in (columns, *listed)]
        widths = [max(len(row[number]) for row in texts) for number in range(len(columns))]
        for line, values in zip(texts, [columns, *listed], strict=True):
            cells = [
                text.rjust(width) if isinstance(value, int) else text.ljust(width)
                for text, value, width in zip(line, values, widths, strict=True)
            ]
            self.line("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_differences(screen: Screen, differences: Sequence[Difference]) -> None:
    """Each difference, with what was wanted and what was found."""
    for difference in differences:
        _show_difference(screen, difference)


def _show_difference(screen: Screen, difference: Difference) -> None:
    attribute = "" if difference.attribute is None else f": {difference.attribute}"
    screen.line(f"{difference.change} {difference.kind} {one_line(difference.name)}{attribute}")
    # What is missing or extra may have no value that tells most about it: then that it is there is all.
    whole = "present" if difference.change != "changed" else None
    _show_value(screen, "wanted", difference.expected, None if difference.change == "extra" else whole)
    _show_value(screen, "found", difference.actual, None if difference.change == "missing" else whole)


def _show_value(screen: Screen, title: str, value: object, otherwise: str | None) -> None:
    """A value beside its title; what has several lines, such as the body of a function, below it."""
    if value is None or value == "":
        text = otherwise or "nothing"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    lines = text.split("\n")
    if len(lines) == 1:
        screen.line(f"    {title + ':':8}{text}")
        return
    screen.line(f"    {title}:")
    for line in lines:
        screen.line(f"        {line}".rstrip())


def difference_data(difference: Difference) -> dict[str, Any]:
    """A difference for programs."""
    identity = difference.identity
    return {
        "kind": identity.kind,
        "schema": identity.schema,
        "table": identity.table or None,
        "name": identity.name,
        "change": difference.change,
        "attribute": difference.attribute,
        "wanted": difference.expected,
        "found": difference.actual,
    }
