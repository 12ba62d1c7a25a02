"""How differences between a database and the models are shown, to people and to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.tools.cli.output import Screen, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbschema.catalog import Difference


def show_differences(screen: Screen, differences: Sequence[Difference]) -> None:
    """Each difference, with what was wanted and what was found."""
    for difference in differences:
        _show_difference(screen, difference)


def _show_difference(screen: Screen, difference: Difference) -> None:
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


def difference_data(difference: Difference) -> dict[str, Any]:
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
