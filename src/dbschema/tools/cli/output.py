"""Write the output of a command: text for people or JSON for programs, with colour and spinners on a terminal only.

With JSON, standard output contains exactly one value. Progress then goes to standard error, and only on a terminal.
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
    """Return `text` without line breaks and without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


def is_terminal(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get(TERMINAL) != "dumb"


def coloured(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal and NO_COLOR is not set."""
    return is_terminal(stream) and not os.environ.get(NO_COLOR)


def ask(question: str, stream: TextIO) -> str:
    """Show a question on `stream` and read the answer from standard input, without spaces around it."""
    stream.write(f"{question} ")
    stream.flush()
    return sys.stdin.readline().strip()


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: '1 row', '2 rows'."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


class Screen:
    """The output of a command.

    Args:
        as_json: write one JSON value to standard output, and no text.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """Write a line of text, unless the output is JSON."""
        if not self.as_json:
            print(text, flush=True)  # noqa: T201  the output of the command line

    def note(self, text: str) -> None:
        """Write a line to standard error."""
        print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201  as above

    def data(self, value: Mapping[str, Any]) -> None:
        """Write the result as JSON, if the output is JSON."""
        if self.as_json:
            print(json.dumps(value, indent=2), flush=True)  # noqa: T201  as above

    def mark(self, passed: bool) -> str:
        """Return ✓ or ✗, coloured on a terminal; words if standard output cannot encode these signs."""
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
        """Show a slow step: on a terminal, a spinner during it and a line after it; elsewhere, a line before it."""
        if not is_terminal(sys.stderr):
            self.line(f"{text} ...")
            yield
            return
        from rich.console import Console  # noqa: PLC0415  for a terminal only
        from rich.text import Text  # noqa: PLC0415  as above

        began = time.monotonic()
        with Console(stderr=True).status(Text(text)):
            yield
        self.line(f"{self.mark(True)} {text} ({time.monotonic() - began:.1f} s)")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table with titles; numbers are right-aligned."""
        if self.as_json:
            return
        listed = [list(row) for row in rows]
        if is_terminal(sys.stdout):
            from rich.console import Console  # noqa: PLC0415  for a terminal only
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
    """Write each difference with its expected and its actual value."""
    for difference in differences:
        _show_difference(screen, difference)


def _show_difference(screen: Screen, difference: Difference) -> None:
    attribute = "" if difference.attribute is None else f": {difference.attribute}"
    screen.line(f"{difference.change} {difference.kind} {one_line(difference.name)}{attribute}")
    # A missing or extra object can have no characteristic value: show only that it exists.
    whole = "present" if difference.change != "changed" else None
    _show_value(screen, "wanted", difference.expected, None if difference.change == "extra" else whole)
    _show_value(screen, "found", difference.actual, None if difference.change == "missing" else whole)


def _show_value(screen: Screen, title: str, value: object, otherwise: str | None) -> None:
    """Write a value beside its title, or below it if it has several lines, as the body of a function."""
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
    """Return a difference as JSON data."""
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
