"""Commands about revisions: upgrade, downgrade, status, sql."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from dbschema.cli.commands import FOUND
from dbschema.cli.options import Json, Url, database
from dbschema.cli.output import Screen, plural

if TYPE_CHECKING:
    from dbschema.migrations.runner import Run, Status, Step

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
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Bring a database to a revision: the newest one, or REV.

    A revision that fails leaves nothing behind; those before it stay.

    JSON: database, before, after, steps (id, doc).
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    runner.check_target("upgrade", revision)  # before a server is started for nothing
    settings = database(url, screen)
    with Progress(screen) as progress:
        run = runner.upgrade(settings, revision, on_step=progress.on_step, on_wait=progress.on_wait)
    show_run(screen, run)
    screen.data(run_data(run))


def downgrade(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="A revision, the beginning of one, 'base' or '-1'.")
    ],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Take back the revisions above REV, with the data that they hold.

    '-1' is the one before the present one, 'base' an empty database.

    JSON: database, before, after, steps (id, doc).
    """
    from dbschema.migrations import runner  # noqa: PLC0415  imports Alembic

    screen = Screen(as_json=as_json)
    runner.check_target("downgrade", revision)  # before a server is started for nothing
    settings = database(url, screen)
    with Progress(screen) as progress:
        run = runner.downgrade(settings, revision, on_step=progress.on_step, on_wait=progress.on_wait)
    show_run(screen, run)
    screen.data(run_data(run))


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
    """One line: what was done, and where the database stands now."""
    at = "base (no revision)" if run.after is None else f"revision {run.after}"
    if not run.steps:
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
