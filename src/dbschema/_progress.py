"""Report the progress of an operation on many rows to a function, to a bar on a terminal, or to both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Progress:
    """The progress of a bulk load, or of the export, import or removal of a tenant.

    Args:
        table: the table in progress.
        rows: the number of its rows that are done.
        total: the number of all its rows; None: unknown.
        phase: of a bulk load: 'sending' rows to the database, 'writing' them into the table, 'done'. None: an
            operation without phases.
    """

    table: str
    rows: int
    total: int | None = None
    phase: Literal["sending", "writing", "done"] | None = None


Listener: TypeAlias = Callable[[Progress], object]


@contextmanager
def progress_bar(
    listener: Listener | None = None, *, table: str = "", show: bool = True, keep: bool = False
) -> Iterator[Listener]:
    """Yield a function to call with each `Progress`; it calls `listener`, and moves a bar on a terminal.

    Args:
        listener: called with each `Progress`; None: no listener.
        table: the label of the bar before the first `Progress`.
        show: draw a bar if standard error is a terminal.
        keep: leave the bar on the screen at the end.
    """
    if not show or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield listener or (lambda _: None)
        return

    import rich.progress  # noqa: PLC0415  needed on a terminal only
    from rich.console import Console  # noqa: PLC0415  as above

    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.completed:,} rows"),
        rich.progress.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=not keep,
    ) as bar:
        task = bar.add_task(table, total=None)

        def move(progress: Progress) -> None:
            # The database reports no progress while it writes: show an indeterminate bar.
            total = {"writing": None, "done": progress.rows}.get(progress.phase or "", progress.total)
            text = progress.table if progress.phase is None else f"{progress.table}: {progress.phase}"
            bar.update(task, description=text, completed=progress.rows)
            bar.tasks[0].total = total  # not by `update`, which takes None for "unchanged"
            if listener is not None:
                listener(progress)

        yield move
