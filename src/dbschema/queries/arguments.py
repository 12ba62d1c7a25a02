"""Validate arguments from clients before they become parameters of a statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from dbschema.models import IncidentStatus
from dbschema.queries.errors import BadSearch


def text_of(argument: str, value: str) -> str:
    """Return `value` if PostgreSQL can store it as text.

    Raises:
        BadSearch: the value is not a string, or contains a character that PostgreSQL cannot store.
    """
    if not isinstance(value, str):
        raise BadSearch(argument, f"is of type {type(value).__name__}", "Give text")
    if not _is_text(value):
        raise BadSearch(
            argument, "contains a character that PostgreSQL cannot store", "Remove NUL and lone surrogates"
        )
    return value


def moment_of(argument: str, value: datetime | None) -> datetime | None:
    """Return `value` if it is the same point in time for every session.

    Raises:
        BadSearch: the value is not a datetime, or has no time zone.
    """
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        raise BadSearch(argument, "is not a datetime with a time zone", "Give a datetime with its time zone")
    return value


def status_of(value: IncidentStatus | str | None) -> str | None:
    """Return `value` as the text that the column stores.

    Raises:
        BadSearch: the value is not a status of an incident.
    """
    try:
        return None if value is None else IncidentStatus(value).value
    except ValueError:
        allowed = ", ".join(member.value for member in IncidentStatus)
        raise BadSearch("status", "is not a status of an incident", f"Give one of {allowed}") from None


def data_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return `value` as a dict if PostgreSQL can store it as JSON; the engine's serializer decides on other types.

    Raises:
        BadSearch: the value is not a mapping, or contains a text or a number that JSON cannot represent.
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
            "Remove NUL, lone surrogates, NaN, infinities and deep nesting",
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
