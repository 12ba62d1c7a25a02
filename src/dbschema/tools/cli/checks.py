"""Define the commands that compare a database with the models: check, verify."""

from typing import TYPE_CHECKING

from dbschema.tools.application import load_models, load_snapshot
from dbschema.tools.cli.exit_codes import FOUND
from dbschema.tools.cli.options import Json, Models, Url
from dbschema.tools.cli.output import Screen, difference_data, one_line, plural, show_differences
from dbschema.tools.cli.parser import Command
from dbschema.tools.cli.place import database

if TYPE_CHECKING:
    from dbschema.verify.report import Check


def check(url: Url = None, models: Models = None, as_json: Json = False) -> int:
    """Compare a database with the models, object by object. Exit code 1 if there is a difference.

    The models are built in a throw-away schema, in a transaction that is rolled back.

    JSON: database, clean, differences (kind, schema, table, name, change, attribute, wanted, found).
    """
    from dbschema import catalog, connect  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    settings = database(url, screen)
    with (
        screen.step(f"Compare {settings.place} with the models"),
        connect.translating(settings),
        connect.create_engine(settings).connect() as connection,
    ):
        differences = catalog.check(connection, metadata)
    show_differences(screen, differences)
    if differences:
        screen.line(f"{settings.place} differs from the models in {plural(len(differences), 'point')}.")
    else:
        screen.line(f"{settings.place} is what the models declare.")
    screen.data(
        {
            "database": settings.place,
            "clean": not differences,
            "differences": [difference_data(difference) for difference in differences],
        }
    )
    return FOUND if differences else 0


def verify(url: Url = None, models: Models = None, as_json: Json = False) -> int:
    """Check the content and behaviour of a database, in a transaction that is rolled back. Exit code 1 if a check fails.

    JSON: database, role, total, passed, failed, untried, rate (0 to 1), checks (group, name, passed, detail, tried).
    """
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema import verify as verification  # noqa: PLC0415  as above
    from dbschema.tools.cli.runs import chosen_scripts  # noqa: PLC0415  as above

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    snapshot = load_snapshot(chosen_scripts(None), metadata)
    settings = database(url, screen)
    group = ""

    def on_check(check: "Check") -> None:
        nonlocal group
        if check.group != group:
            group = check.group
            screen.line(group)
        detail = f": {one_line(check.detail)}" if check.detail else ""
        screen.line(
            f"  {screen.mark(check.passed) if check.tried else check.mark} {one_line(check.name)}{detail}"
        )

    with connect.translating(settings), connect.create_engine(settings).connect() as connection:
        report = verification.run(connection, metadata=metadata, snapshot=snapshot, on_check=on_check)
    screen.line()
    screen.line(f"{settings.place}: {report.passed} of {report.total} checks passed, {report.rate:.1%}.")
    if report.untried:
        screen.line(f"Not tried: {', '.join(untried.name for untried in report.untried)}.")
    screen.data({**report.as_dict(), "database": settings.place})
    return 0 if report.ok else FOUND


COMMANDS = (Command(check), Command(verify))
