"""How far a load is: told to a function, shown on a terminal, or both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Progress:
    """How far a load is.

    Args:
        phase: 'sending' rows to the database, 'writing' them into the table, 'done'.
        rows: rows sent so far.
        total: rows there are in all, where the input has a length.
    """

    phase: Literal["sending", "writing", "done"]
    rows: int
    total: int | None


Listener: TypeAlias = Callable[[Progress], object]


@contextmanager
def telling(table: str, listener: Listener | None, *, show: bool) -> Iterator[Listener]:
    """A function to tell how far the load is; with `show` also a bar, if standard error is a terminal."""
    if not show or not sys.stderr.isatty():
        yield listener or (lambda _: None)
        return

    import rich.progress  # noqa: PLC0415  imported by who looks at a terminal
    from rich.console import Console  # noqa: PLC0415  as above

    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.completed:,} rows"),
        rich.progress.TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(table, total=None)

        def tell(progress: Progress) -> None:
            # While the database writes, it tells nothing: the bar then moves without an end.
            total = None if progress.phase == "writing" else progress.total
            if progress.phase == "done":
                total = progress.rows
            bar.update(task, description=f"{table}: {progress.phase}", completed=progress.rows, total=total)
            if listener is not None:
                listener(progress)

        yield tell
