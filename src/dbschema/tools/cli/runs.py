"""Run an upgrade from the command line, and show the progress and the result of a run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from dbschema.tools.application import VARIABLE as MODELS
from dbschema.tools.application import is_known_to_hold, load_models, named_models
from dbschema.tools.cli.exit_codes import FOUND
from dbschema.tools.cli.output import Screen, difference_data, plural, show_differences
from dbschema.tools.cli.place import database_or_data_api

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from dbschema.catalog import Difference
    from dbschema.migrations.result import RunResult, Step
    from dbschema.migrations.timeouts import Timeouts


def run_upgrade(
    screen: Screen,
    url: str | None,
    revision: str = "head",
    *,
    limits: Mapping[str, float | None] | None = None,
    within: float | None = None,
    compare: bool = True,
    tolerate_newer: bool = False,
    scripts: Path | None = None,
    models: str | None = None,
) -> int:
    """Run the command `upgrade` and return its exit code.

    Args:
        limits: values by the names of the fields of `Timeouts`; None: the variable or the default.
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports psycopg

    location = chosen_scripts(scripts)
    runner.check_target("upgrade", revision, location=location)  # a wrong target must not start a server
    chosen = timeouts(**(limits or {}))
    named = models or named_models()
    target = database_or_data_api(url, screen)
    no_comparison = _no_comparison_reason(target, location, named)
    compare_with = partial(_compare, named) if compare and no_comparison is None else None
    with Progress(screen) as progress:
        run = runner.upgrade(
            target,
            revision,
            on_step=progress.on_step,
            on_wait=progress.on_wait,
            location=location,
            timeouts=chosen,
            within=within,
            tolerate_newer=tolerate_newer,
            compare=compare_with,
            known=is_known_to_hold if named is None else None,
        )
    show_run(screen, run)
    if compare and no_comparison is not None and run.steps:
        screen.line(f"It was not compared with the models, {no_comparison}.")
    show_differences(screen, run.differences)
    screen.data(
        {**run_data(run), "differences": [difference_data(difference) for difference in run.differences]}
    )
    return FOUND if run.left or run.differences else 0


def timeouts(**limits: float | None) -> Timeouts:
    """Return the limits: an option overrides its variable, which overrides the default."""
    from dbschema.migrations.timeouts import Timeouts  # noqa: PLC0415  imports psycopg

    return Timeouts.from_environment().changed(**limits)


def chosen_scripts(scripts: Path | None) -> Path | None:
    """Return the location of an application's revisions, from the option or else the variable; None: those of dbschema.

    Raises:
        BrokenScripts: the location contains no revisions.
    """
    from dbschema.migrations.location import application, from_environment  # noqa: PLC0415  imports psycopg

    return from_environment() if scripts is None else application(scripts)


def _no_comparison_reason(target: object, location: Path | None, models: str | None) -> str | None:
    if not hasattr(target, "address"):  # the comparison builds the models in one session
        return "which the RDS Data API does not allow"
    if location is not None and models is None:
        return f"because those of the application are not named (--models or {MODELS})"
    return None


def _compare(models: str | None, connection: Connection) -> Sequence[Difference]:
    from dbschema import catalog  # noqa: PLC0415  imports SQLAlchemy

    return catalog.check(connection, load_models(models))


class Progress:
    """Show each revision of a run during the run."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._current = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._current.__exit__(*error)

    def on_step(self, step: Step) -> None:
        """Show the start or the end of a revision."""
        if step.done:
            self._current.close()
            return
        verb = "Apply" if step.direction == "upgrade" else "Revert"
        text = f"{verb} {step.number}/{step.total}: {step.revision.id} {step.revision.doc}"
        self._current.enter_context(self._screen.step(text))

    def on_wait(self, holder: str) -> None:
        """Show that this run waits for the end of another one."""
        self._screen.line(f"Wait for another run on this database: {holder} ...")


def show_run(screen: Screen, run: RunResult) -> None:
    """Write one line: the steps that were run, the revisions that are left, and the current revision."""
    at = "base (no revision)" if run.after is None else f"revision {run.after}"
    if run.unknown:
        screen.line(f"Nothing done: {run.place} is at {at}, which a newer version of dbschema made.")
    elif run.left:
        left = ", ".join(revision.id for revision in run.left)
        screen.line(
            f"Time is over: {run.place} is at {at}, after {plural(len(run.steps), 'step')}; left: {left}."
        )
    elif not run.steps:
        screen.line(f"Nothing to do: {run.place} is at {at}.")
    else:
        screen.line(f"{run.place} is now at {at}, after {plural(len(run.steps), 'step')}.")


def run_data(run: RunResult) -> dict[str, Any]:
    """Return a run as JSON data."""
    return {
        "database": run.place,
        "before": run.before,
        "after": run.after,
        "steps": [{"id": step.id, "doc": step.doc} for step in run.steps],
        "left": [{"id": step.id, "doc": step.doc} for step in run.left],
        "unknown": list(run.unknown),
    }
