"""What the models want beside what a throw-away schema can show: roles, extensions, owners, and real names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.catalog.asking import ask
from dbschema.catalog.moving import moved
from dbschema.ddl.base import quote
from dbschema.ddl.extensions import Extension
from dbschema.ddl.functions import Function
from dbschema.ddl.registry import declared
from dbschema.ddl.roles import Role
from dbschema.identity import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import MetaData

    from dbschema.catalog.fingerprint import Answers
    from dbschema.catalog.model import Attributes, Value
    from dbschema.catalog.place import Place
    from dbschema.ddl.base import DatabaseObject

OWNED = """
SELECT p.proname || '(' || oidvectortypes(p.proargtypes) || ')', r.oid
FROM pg_proc p LEFT JOIN pg_roles r ON r.rolname = {owner}
WHERE p.oid = to_regprocedure({signature})
"""


def schemas(metadata: MetaData) -> set[str]:
    """The schemas that the models name, in tables and in declared objects."""
    named = {table.schema for table in metadata.tables.values()}
    named |= {item.identity.schema for item in declared(metadata)}
    return {name for name in named if name is not None}


def names(metadata: MetaData, kind: type[Extension | Role]) -> tuple[str, ...]:
    """The names of the declared extensions, or of the declared roles."""
    return tuple(item.name for item in declared(metadata) if isinstance(item, kind))


def rename(answers: Answers, real: Mapping[str, str]) -> None:
    """Write the real names of schemas where the server printed those of throw-away ones.

    They are random, so they occur nowhere else. What is visible by search_path is printed without its schema anyway.
    """
    token = min(real, key=len)
    for identity, attributes in list(answers.entries.items()):
        if token in identity.name:  # the type of an argument, in a schema of the models
            del answers.entries[identity]
        elif not any(_speaks_of(value, token) for value in attributes.values()):
            continue
        renamed = {name: _renamed(part, real) for name, part in attributes.items()}
        answers.entries[identity._replace(name=str(_renamed(identity.name, real)))] = renamed
    answers.granted = [
        (
            identity._replace(name=str(_renamed(identity.name, real))),
            target,
            str(_renamed(name, real)),
        )
        if token in name
        else (identity, target, name)
        for identity, target, name in answers.granted
    ]


def make_permanent(answers: Answers) -> None:
    """Say of temporary tables that they are wanted as ordinary ones: an unlogged one could not have been temporary."""
    for identity, attributes in answers.entries.items():
        if attributes.get("persistence") == "temporary":
            answers.entries[identity] = {**attributes, "persistence": "permanent"}


def add(
    cursor: Any,
    answers: Answers,
    objects: Iterable[DatabaseObject],
    shadows: Mapping[str | None, str],
    place: Place,
) -> None:
    """Add what the declared objects say that was not built: extensions, roles, owners of functions."""
    for item in objects:
        if isinstance(item, Extension):
            answers.entries[item.identity] = {}
        elif isinstance(item, Role):
            answers.entries[item.identity] = _role(item)
        elif isinstance(item, Function) and item.owner is not None:
            _set_owner(cursor, answers, item, shadows, place)


def _role(role: Role) -> Attributes:
    return {
        "login": False,
        "superuser": False,
        "bypass row security": False,
        "create role": False,
        "create database": False,
        "replication": False,
        "connection limit": None,
        "settings": tuple(sorted(f"{name}={value}" for name, value in role.settings)),
        "settings in this database": (),
        "member of": (),
    }


def _set_owner(
    cursor: Any, answers: Answers, function: Function, shadows: Mapping[str | None, str], place: Place
) -> None:
    """Giving the copy away would need rights over the owner that the comparison need not have."""
    copy = moved(function, shadows)
    signature = copy.signature if isinstance(copy, Function) else function.signature
    rows = ask(
        cursor,
        OWNED.format(owner=sql_string(str(function.owner)), signature=sql_string(signature)),
    )
    for name, owner in rows:
        schema = None if function.schema == place.default_schema else function.schema
        identity = Identity("function", schema, "", name)
        taken_for_granted = owner in place.owners
        answers.entries[identity] = {
            **answers.entries[identity],
            "owner": None if taken_for_granted else function.owner,
        }
        answers.entries.pop(Identity("grant", schema, "", f"FUNCTION {name} TO {function.owner}"), None)


def _speaks_of(value: Value, token: str) -> bool:
    return (type(value) is str and token in value) or (type(value) is tuple and token in "".join(value))


def _renamed(value: Value, real: Mapping[str, str]) -> Value:
    if isinstance(value, tuple):
        return tuple(str(_renamed(part, real)) for part in value)
    if isinstance(value, str):
        for shadow, name in real.items():
            value = value.replace(shadow, quote(name))
    return value
