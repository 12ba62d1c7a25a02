"""Commands that compare a database with the models: check, verify."""

from typing import TYPE_CHECKING, Any

import typer

from dbschema.cli.commands import FOUND
from dbschema.cli.options import Json, Url, database
from dbschema.cli.output import Screen, one_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbschema.catalog import Difference
    from dbschema.verify.report import Check

PANEL = "Checks"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=PANEL)(check)
    app.command(rich_help_panel=PANEL)(verify)


def check(url: Url = None, as_json: Json = False) -> None:
    """Compare a database with the models, object by object. Exit code 1 where something differs.

    The models are built in a throw-away schema, in a transaction that is rolled back.

    JSON: database, clean, differences (kind, schema, table, name, change, attribute, wanted, found).
    """
    from dbschema import catalog, connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema.models import metadata  # noqa: PLC0415  as above

    screen = Screen(as_json=as_json)
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
            "differences": [difference_data(one) for one in differences],
        }
    )
    if differences:
        raise typer.Exit(FOUND)


def verify(url: Url = None, as_json: Json = False) -> None:
    """Check what a database holds and how it behaves, in a transaction that is rolled back. Exit code 1 where a check fails.

    JSON: database, role, total, passed, failed, rate (0 to 1), checks (group, name, passed, detail).
    """
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy
    from dbschema import verify as verification  # noqa: PLC0415  as above

    screen = Screen(as_json=as_json)
    settings = database(url, screen)
    group = ""

    def on_check(one: "Check") -> None:
        nonlocal group
        if one.group != group:
            group = one.group
            screen.line(group)
        detail = f": {one_line(one.detail)}" if one.detail else ""
        screen.line(f"  {screen.mark(one.passed)} {one_line(one.name)}{detail}")

    with connect.translating(settings), connect.create_engine(settings).connect() as connection:
        report = verification.run(connection, on_check=on_check)
    screen.line()
    screen.line(f"{settings.place}: {report.passed} of {report.total} checks passed, {report.rate:.1%}.")
    screen.data({**report.as_dict(), "database": settings.place})
    if not report.ok:
        raise typer.Exit(FOUND)


def show_differences(screen: Screen, differences: "Sequence[Difference]") -> None:
    """Each difference, with what was wanted and what was found."""
    for difference in differences:
        _show_difference(screen, difference)


def _show_difference(screen: Screen, difference: "Difference") -> None:
    attribute = "" if difference.attribute is None else f": {difference.attribute}"
    screen.line(f"{difference.change} {difference.kind} {one_line(difference.name)}{attribute}")
    # What is missing or extra may have no value that tells most about it: then that it is there is all.
    whole = "present" if difference.change != "changed" else None
    _show_value(screen, "wanted", difference.wanted, None if difference.change == "extra" else whole)
    _show_value(screen, "found", difference.found, None if difference.change == "missing" else whole)


def _show_value(screen: Screen, title: str, value: object, otherwise: str | None) -> None:
    """A value beside its title; what has several lines, such as the body of a function, below it."""
    if value is None or value == "":
        text = otherwise or "nothing"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    lines = text.split("\n")
    if len(lines) == 1:
        screen.line(f"    {title + ':':8}{text}")
        return
    screen.line(f"    {title}:")
    for line in lines:
        screen.line(f"        {line}".rstrip())


def difference_data(difference: "Difference") -> dict[str, Any]:
    """A difference for programs."""
    identity = difference.identity
    return {
        "kind": identity.kind,
        "schema": identity.schema,
        "table": identity.table or None,
        "name": identity.name,
        "change": difference.change,
        "attribute": difference.attribute,
        "wanted": difference.wanted,
        "found": difference.found,
    }
