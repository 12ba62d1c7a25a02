"""The command compile: the SQL of the revisions and the snapshot of the models, written beside the revisions."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbschema import application
from dbschema.cli.ending import FOUND
from dbschema.cli.models import Models
from dbschema.cli.options import Json, Scripts, Url
from dbschema.cli.output import Screen

if TYPE_CHECKING:
    from dbschema.migrations.compilation import Taken

PANEL = "Revisions"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(name="compile", rich_help_panel=PANEL)(compile_)


def compile_(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if a file is not fresh.")
    ] = False,
    scripts: Scripts = None,
    models: Models = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Write the SQL of the revisions, and what the models want of a database, into the folder compiled/ beside them.

    A server builds the models in a throw-away schema, in a transaction that is rolled back; the role needs CREATE on the
    database, and the extensions of the models installed or the right to create them.

    JSON: location, fresh, files (names of those that changed, or are not fresh).
    """
    from dbschema.cli.runs import chosen_scripts  # noqa: PLC0415  imports psycopg
    from dbschema.migrations import compilation, location  # noqa: PLC0415  imports SQLAlchemy and Alembic

    screen = Screen(as_json=as_json)
    chosen = chosen_scripts(scripts)
    if chosen is not None and models is None:
        raise typer.BadParameter(
            f"The models of the application are not named (--models or {application.VARIABLE})"
        )
    place = location.script_location() if chosen is None else chosen.resolve()
    taken = _taken(url, models, screen)
    changed = (compilation.check if check else compilation.write)(place, taken)
    for name in changed:
        screen.line(f"{'not fresh' if check else 'changed'}: {name}")
    if not changed:
        screen.line("Everything is fresh.")
    screen.data({"location": str(place), "fresh": not changed, "files": changed})
    if check and changed:
        raise typer.Exit(FOUND)


def _taken(url: str | None, models: str | None, screen: Screen) -> "Taken":
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.catalog import snapshot  # noqa: PLC0415  as above
    from dbschema.cli.place import database  # noqa: PLC0415  as above
    from dbschema.migrations.compilation import Taken  # noqa: PLC0415  as above

    metadata = application.load_models(models)
    settings = database(url, screen)
    with (
        screen.step(f"Build the models on {settings.place}"),
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
    ):
        found = snapshot.take(connection, metadata)
    sources = snapshot.digest_of_files(application.sources()) if models is None else None
    return Taken(found, sources)
