"""Arguments that come from clients, looked at before they become parameters of a statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from dbschema.models import IncidentStatus
from dbschema.queries.errors import BadSearch


def text_of(argument: str, value: str) -> str:
    """`value`, if PostgreSQL can hold it as text.

    Raises:
        BadSearch: it is no text, or holds what is no character there.
    """
    if not isinstance(value, str):
        raise BadSearch(argument, f"is of type {type(value).__name__}", "Give text")
    if not _is_text(value):
        raise BadSearch(argument, "holds a character that PostgreSQL has not", "Take NUL and half pairs out")
    return value


def moment_of(argument: str, value: datetime | None) -> datetime | None:
    """`value`, if it is the same moment for every session.

    Raises:
        BadSearch: it is no datetime, or has no time zone.
    """
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        raise BadSearch(argument, "is no moment", "Give a datetime with its time zone")
    return value


def status_of(value: IncidentStatus | str | None) -> str | None:
    """`value` as the text that the column holds.

    Raises:
        BadSearch: no incident has it.
    """
    try:
        return None if value is None else IncidentStatus(value).value
    except ValueError:
        known = ", ".join(member.value for member in IncidentStatus)
        raise BadSearch("status", "is none of an incident", f"Give one of {known}") from None


def data_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value`, if PostgreSQL can hold it as JSON; what kinds of values become JSON is the engine's to say.

    Raises:
        BadSearch: it is no mapping, or holds a text or a number that JSON has not there.
    """
    if not isinstance(value, Mapping):
        raise BadSearch("data", f"are of type {type(value).__name__}", "Give a mapping of keys to values")
    try:
        fits = _is_json(value)
    except RecursionError:
        fits = False
    if not fits:
        raise BadSearch(
            "data",
            "cannot be written as JSON",
            "Take NUL, half pairs, NaN, infinities and deep nesting out",
        )
    return dict(value)


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_json(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Mapping):
        return all(_is_json(key) and _is_json(item) for key, item in value.items())
    return all(map(_is_json, value)) if isinstance(value, (list, tuple)) else True
