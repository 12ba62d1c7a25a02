"""Define the command compile, which writes the SQL of the revisions and the snapshot of the models."""

from typing import TYPE_CHECKING, Annotated

from dbschema.errors import CallRejected
from dbschema.tools import application
from dbschema.tools.cli.exit_codes import FOUND
from dbschema.tools.cli.options import Json, Models, Scripts, Url
from dbschema.tools.cli.output import Screen
from dbschema.tools.cli.parser import Command, Flag

if TYPE_CHECKING:
    from dbschema.migrations.compilation import Taken


def compile_(
    *,
    check: Annotated[bool, Flag("--check", "Write nothing; exit code 1 if a file is not fresh.")] = False,
    scripts: Scripts = None,
    models: Models = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Write the SQL of the revisions and the snapshot of the models into the folder compiled/ beside the revisions.

    A server builds the models in a throw-away schema, in a transaction that is rolled back. The role needs CREATE on
    the database. The extensions of the models must be installed, or the role needs the right to create them.

    JSON: location, fresh, files (names of the files that changed, or are not fresh).
    """
    from dbschema.migrations import compilation  # noqa: PLC0415  imports SQLAlchemy and Alembic
    from dbschema.migrations.location import script_location  # noqa: PLC0415  imports SQLAlchemy and Alembic
    from dbschema.tools.cli.runs import chosen_scripts  # noqa: PLC0415  imports psycopg

    screen = Screen(as_json=as_json)
    chosen = chosen_scripts(scripts)
    if chosen is not None and models is None:
        raise CallRejected(
            "The models of the application are not named",
            f"Name them with --models or {application.VARIABLE}",
        )
    place = script_location() if chosen is None else chosen.resolve()
    taken = _taken(url, models, screen)
    changed = (compilation.check if check else compilation.write)(place, taken)
    for name in changed:
        screen.line(f"{'not fresh' if check else 'changed'}: {name}")
    if not changed:
        screen.line("Everything is fresh.")
    screen.data({"location": str(place), "fresh": not changed, "files": changed})
    return FOUND if check and changed else 0


def _taken(url: str | None, models: str | None, screen: Screen) -> "Taken":
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.catalog import snapshot  # noqa: PLC0415  as above
    from dbschema.migrations.compilation import Taken  # noqa: PLC0415  as above
    from dbschema.tools.cli.place import database  # noqa: PLC0415  as above

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


COMMANDS = (Command(compile_, name="compile"),)
