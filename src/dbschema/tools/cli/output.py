"""What a command shows: text for people, or JSON for programs; colour and spinners on a terminal only.

With JSON, standard output holds one value and nothing else; what happens meanwhile is told on standard error, on a
terminal only.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO

from dbschema.environment import Variable

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
