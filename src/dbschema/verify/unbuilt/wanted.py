"""What the models name, in the words of the server's catalog; nothing is asked of a server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint
from sqlalchemy.dialects import postgresql

from dbschema.ddl import Function, Grant, Policy, RowSecurity, Trigger
from dbschema.ddl.tenancy import TENANT_SETTING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table

Attributes: TypeAlias = "dict[str, Any]"

_COMMANDS = {"ALL": "*", "SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"}
_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_PER_ROW, _BEFORE = 1, 2
_CONSTRAINTS = {
    "primary_key_constraint": "p",
    "unique_constraint": "u",
    "foreign_key_constraint": "f",
    "exclude_constraint": "x",
}
_SERVER_NAMES = {
    "varchar": "character varying",
    "char": "character",
    "float": "double precision",
    "double": "double precision",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
    "int": "integer",
    "decimal": "numeric",
}
_TYPE = re.compile(r"^([a-z_ ]+?)(\(.*\))?( with(?:out)? time zone)?((?:\[\])*)$")


def columns(table: Table) -> dict[str, Attributes]:
    """Type and nullability of each column."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    return {
        column.name: {"type": canonical(column.type.compile(dialect)), "not null": not column.nullable}
        for column in table.columns
    }


def canonical(type_: str) -> str:
    """A type as `format_type` writes it, but in lower case: of NUMERIC(12, 2), numeric(12,2)."""
    text = type_.lower().replace(", ", ",")
    match = _TYPE.match(text)
    if match is None:
        return text
    name, modifier, zone, array = match.groups(default="")
    # PostgreSQL does not keep how many dimensions an array was declared with.
    array = array[:2]
    if zone:
        return f"{name}{modifier}{zone}{array}"
    base, without, rest = _SERVER_NAMES.get(name, name).partition(" without")
    return f"{base}{modifier}{without}{rest}{array}"


def constraints(table: Table) -> dict[str, Attributes]:
    """Kind and validity of each constraint that has a name."""
    return {name: {"type": kind, "valid": True} for name, kind in _named(table) if name is not None}


def has_nameless_constraints(table: Table) -> bool:
    """Whether the server gives a constraint its name."""
    return any(name is None for name, _ in _named(table))


def indexes(table: Table) -> dict[str, Attributes]:
    """Uniqueness, validity and method of each index."""
    return {
        str(index.name): {
            "unique": bool(index.unique),
            "valid": True,
            "method": index.dialect_options["postgresql"]["using"] or "btree",
        }
        for index in table.indexes
    }


def triggers(standing: Iterable[object]) -> dict[str, Attributes]:
    """Whether each trigger fires, when, and what it calls."""
    return {
        item.name: {
            "enabled": "O",
            "function": item.function,
            "fires": sum(_EVENTS[event] for event in item.events)
            + (_PER_ROW if item.level == "ROW" else 0)
            + (_BEFORE if item.timing == "BEFORE" else 0),
        }
        for item in standing
        if isinstance(item, Trigger)
    }


def policies(standing: Iterable[object]) -> dict[str, Attributes]:
    """Command and roles of each policy; and the conditions of those that isolate tenants, or let operators in.

    Only the spelling of these is known well enough to be compared as text.
    """
    wanted: dict[str, Attributes] = {}
    for item in standing:
        if isinstance(item, Policy):
            wanted[item.name] = {
                "permissive": item.permissive,
                "command": _COMMANDS[item.command],
                "roles": tuple(sorted(item.roles)) or ("public",),
            }
            for attribute, expression in (("using", item.using), ("check", item.check)):
                if expression is not None and (TENANT_SETTING in expression or expression == "true"):
                    wanted[item.name][attribute] = squeezed(expression)
    return wanted


def squeezed(expression: str) -> str:
    """An expression without what the server adds when it prints it: casts of literals, aliases, parentheses, spaces."""
    text = re.sub(r"::text|\bas \"?nullif\"?", "", expression.lower())
    return re.sub(r"[\s()\"]", "", text)


def row_security(table: Table, standing: Iterable[object]) -> dict[str, Attributes]:
    """Whether row security is enabled, and forced."""
    security = next((item for item in standing if isinstance(item, RowSecurity)), None)
    return {table.name: {"enabled": security is not None, "forced": security is not None and security.forced}}


def grants(standing: Iterable[object]) -> dict[str, Attributes]:
    """The privileges of each role on a table."""
    return {item.identity.name: grant(item) for item in standing if isinstance(item, Grant)}


def grant(item: Grant) -> Attributes:
    """The privileges of one role on one thing."""
    return {"privileges": tuple(sorted(item.privileges)), "grantable": item.grantable}


def function(item: Function) -> Attributes:
    """Body, settings and rights of a function; one that belongs to nobody in particular is everybody's own affair."""
    pinned = set() if item.pinned_to is None else {"search_path"}
    attributes: Attributes = {
        "body": item.body,
        "security definer": item.security_definer,
        "settings": tuple(sorted({name for name, _ in item.settings} | pinned)),
    }
    if item.owner is not None:
        attributes |= {"owner": item.owner, "executable by": tuple(sorted(item.executable_by))}
    return attributes


def _named(table: Table) -> list[tuple[str | None, str]]:
    """Name as the naming convention has it, and kind as `pg_constraint` has it, of each constraint."""
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    named: list[tuple[str | None, str]] = []
    for item in table.constraints:
        kind = "c" if isinstance(item, CheckConstraint) else _CONSTRAINTS.get(item.__visit_name__)
        if kind is None or (isinstance(item, PrimaryKeyConstraint) and not item.columns):
            continue
        named.append((None if item.name is None else str(preparer.format_constraint(item)).strip('"'), kind))
    return named
