"""Commands about revisions: upgrade, downgrade, status, sql."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from dbschema.cli.checks import difference_data, show_differences
from dbschema.cli.commands import FOUND
from dbschema.cli.options import (
    Json,
    LockRetry,
    LockTimeout,
    StatementTimeout,
    Url,
    Wait,
    Within,
    database,
)
from dbschema.cli.output import Screen, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from dbschema.catalog import Difference
    from dbschema.migrations.runner import Run, Status, Step
    from dbschema.migrations.timeouts import Timeouts

PANEL = "Revisions"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    # '-1' is a revision, and no option.
    app.command(rich_help_panel=PANEL, context_settings={"ignore_unknown_options": True})(upgrade)
    app.command(rich_help_panel=PANEL, context_settings={"ignore_unknown_options": True})(downgrade)
    app.command(rich_help_panel=PANEL)(status)
    app.command(rich_help_panel=PANEL)(sql)


def upgrade(
    revision: Annotated[
        str, typer.Argument(metavar="[REV]", help="A revision, the beginning of one, 'head' or '+1'.")
    ] = "head",
    *,
    url: Url = None,
    wait: Wait = None,
    lock_timeout: LockTimeout = None,
    lock_retry: LockRetry = None,
    statement_timeout: StatementTimeout = None,
    within: Within = None,
    compare: Annotated[
        bool,
        typer.Option("--compare/--no-compare", help="Compare the database with the models after the run."),
    ] = True,
    tolerate_newer: Annotated[
        bool,
        typer.Option("--tolerate-newer", help="Leave a database alone that a newer version has upgraded."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a database to a revision: the newest one, or REV.

    A revision that fails leaves nothing behind; those before it stay. Exit code 1 where revisions are left, or the
    database differs from the models.

    JSON: database, before, after, steps (id, doc), left (id, doc), unknown (ids), differences (as of check).
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    runner.check_target("upgrade", revision)  # before a server is started for nothing
    limits = _timeouts(wait=wait, lock=lock_timeout, retry=lock_retry, statement=statement_timeout)
    settings = database(url, screen)
    with Progress(screen) as progress:
        run = runner.upgrade(
            settings,
            revision,
            on_step=progress.on_step,
            on_wait=progress.on_wait,
            timeouts=limits,
            within=within,
            tolerate_newer=tolerate_newer,
            compare=_compare if compare else None,
        )
    show_run(screen, run)
    show_differences(screen, run.differences)
    screen.data({**run_data(run), "differences": [difference_data(one) for one in run.differences]})
    if run.left or run.differences:
        raise typer.Exit(FOUND)


def downgrade(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="A revision, the beginning of one, 'base' or '-1'.")
    ],
    *,
    url: Url = None,
    wait: Wait = None,
    lock_timeout: LockTimeout = None,
    lock_retry: LockRetry = None,
    statement_timeout: StatementTimeout = None,
    within: Within = None,
    as_json: Json = False,
) -> None:
    """Take back the revisions above REV, with the data that they hold.

    '-1' is the one before the present one, 'base' an empty database. Exit code 1 where revisions are left.

    JSON: database, before, after, steps (id, doc), left (id, doc), unknown (ids).
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    runner.check_target("downgrade", revision)  # before a server is started for nothing
    limits = _timeouts(wait=wait, lock=lock_timeout, retry=lock_retry, statement=statement_timeout)
    settings = database(url, screen)
    with Progress(screen) as progress:
        run = runner.downgrade(
            settings,
            revision,
            on_step=progress.on_step,
            on_wait=progress.on_wait,
            timeouts=limits,
            within=within,
        )
    show_run(screen, run)
    screen.data(run_data(run))
    if run.left:
        raise typer.Exit(FOUND)


def _timeouts(**given: float | None) -> "Timeouts":
    """Options before variables before the defaults."""
    from dbschema.migrations.timeouts import Timeouts  # noqa: PLC0415  imports SQLAlchemy

    return Timeouts.from_environment().changed(**given)


def _compare(connection: "Connection") -> "Sequence[Difference]":
    from dbschema import catalog  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.models import metadata  # noqa: PLC0415  as above, and no upgrade needs them

    return catalog.check(connection, metadata)


def status(url: Url = None, as_json: Json = False) -> None:
    """Show at which revision a database stands, and which are pending. Exit code 1 where it is not the newest one.

    JSON: database, source, server_version, postgis_version, in_recovery, current (ids), head, pending (id, doc), unknown (ids), up_to_date.
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    found = runner.status(database(url, screen))
    _show_status(screen, found)
    screen.data(
        {
            "database": found.place,
            "source": found.source,
            "server_version": found.server_version,
            "postgis_version": found.postgis_version,
            "in_recovery": found.in_recovery,
            "current": list(found.current),
            "head": found.head,
            "pending": [{"id": one.id, "doc": one.doc} for one in found.pending],
            "unknown": list(found.unknown),
            "up_to_date": found.up_to_date,
        }
    )
    if not found.up_to_date:
        raise typer.Exit(FOUND)


def sql(
    span: Annotated[
        str | None,
        typer.Argument(
            metavar="[FROM:TO]",
            show_default=False,
            help="From which revision to which; without it, base:head.",
        ),
    ] = None,
) -> None:
    """Print the SQL of an upgrade, or of a downgrade where TO lies below FROM, and execute none of it."""
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    typer.echo(runner.sql(span), nl=False)


class Progress:
    """Tells of each revision of a run while it lasts."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._current = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._current.__exit__(*error)

    def on_step(self, step: "Step") -> None:
        """A revision is about to begin, or is done."""
        if step.done:
            self._current.close()
            return
        verb = "Apply" if step.direction == "upgrade" else "Take back"
        text = f"{verb} {step.number}/{step.total}: {step.revision.id} {step.revision.doc}"
        self._current.enter_context(self._screen.step(text))

    def on_wait(self, holder: str) -> None:
        """Another run has to end before this one begins."""
        self._screen.line(f"Wait for another run on this database: {holder} ...")


def show_run(screen: Screen, run: "Run") -> None:
    """One line: what was done, what is left, and where the database stands now."""
    at = "base (no revision)" if run.after is None else f"revision {run.after}"
    if run.unknown:
        screen.line(f"Nothing done: {run.place} is at {at}, which a newer version of dbschema made.")
    elif run.left:
        left = ", ".join(one.id for one in run.left)
        screen.line(
            f"Time is over: {run.place} is at {at}, after {plural(len(run.steps), 'step')}; left: {left}."
        )
    elif not run.steps:
        screen.line(f"Nothing to do: {run.place} is at {at}.")
    else:
        screen.line(f"{run.place} is now at {at}, after {plural(len(run.steps), 'step')}.")


def run_data(run: "Run") -> dict[str, Any]:
    """A run for programs."""
    return {
        "database": run.place,
        "before": run.before,
        "after": run.after,
        "steps": [{"id": step.id, "doc": step.doc} for step in run.steps],
        "left": [{"id": step.id, "doc": step.doc} for step in run.left],
        "unknown": list(run.unknown),
    }


def _show_status(screen: Screen, found: "Status") -> None:
    screen.line(f"Database  {found.place} (from {found.source}{', a standby' if found.in_recovery else ''})")
    screen.line(
        f"Server    PostgreSQL {found.server_version}, PostGIS {found.postgis_version or 'not installed'}"
    )
    screen.line(f"Revision  {', '.join(found.current) or 'none'}")
    screen.line(f"Head      {found.head or 'none'}")
    if found.unknown:
        screen.line("Pending   unknown: this version of dbschema does not hold the revision of the database")
    elif not found.pending:
        screen.line("Pending   none")
    else:
        screen.line(f"Pending   {plural(len(found.pending), 'revision')}; 'dbschema upgrade' applies them:")
        for one in found.pending:
            screen.line(f"          {one.id}  {one.doc}")
