"""Define the command that adopts a database: baseline."""

from typing import TYPE_CHECKING, Annotated

from dbschema.tools.application import load_models
from dbschema.tools.cli.exit_codes import FOUND
from dbschema.tools.cli.options import Json, Models, Scripts, Url, Wait
from dbschema.tools.cli.output import Screen, difference_data, plural, show_differences
from dbschema.tools.cli.parser import Command, Flag
from dbschema.tools.cli.place import database
from dbschema.tools.cli.runs import Progress, chosen_scripts, timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from dbschema.catalog import Difference


def baseline(
    *,
    url: Url = None,
    wait: Wait = None,
    allow_foreign: Annotated[
        bool,
        Flag("--allow-foreign", "Ignore tables, views, types and functions that no model declares."),
    ] = False,
    models: Models = None,
    scripts: Scripts = None,
    as_json: Json = False,
) -> int:
    """Adopt a database that was built without revisions: record the newest revision if the database equals the models.

    Nothing else is changed. If there are differences, nothing is recorded, and the exit code is 1.

    JSON: database, revision, recorded, differences (as of check).
    """
    from dbschema import catalog  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.migrations import baseline as adopting  # noqa: PLC0415  as above

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    limits = timeouts(wait=wait)
    location = chosen_scripts(scripts)
    settings = database(url, screen)

    def compare(connection: "Connection") -> "Sequence[Difference]":
        found = catalog.check(connection, metadata)
        return adopting.without_foreign(found, metadata) if allow_foreign else found

    with screen.step(f"Compare {settings.place} with the models"):
        done = adopting.baseline(
            settings, compare, on_wait=Progress(screen).on_wait, location=location, timeouts=limits
        )
    show_differences(screen, done.differences)
    if done.differences:
        points = plural(len(done.differences), "point")
        screen.line(f"{done.place} differs from the models in {points}; nothing was recorded.")
    elif done.recorded:
        screen.line(f"{done.place} is what the models declare, and recorded as revision {done.revision}.")
    else:
        screen.line(f"Nothing to do: {done.place} is what the models declare, at revision {done.revision}.")
    screen.data(
        {
            "database": done.place,
            "revision": done.revision,
            "recorded": done.recorded,
            "differences": [difference_data(difference) for difference in done.differences],
        }
    )
    return FOUND if done.differences else 0


COMMANDS = (Command(baseline),)
