"""Declared objects in throw-away schemas: their own schema, and the schemas that their SQL writes out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from dbschema.ddl.functions import Function
from dbschema.ddl.grants import Grant
from dbschema.ddl.row_security import Policy
from dbschema.ddl.triggers import Trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.ddl.base import DatabaseObject


def moved(item: DatabaseObject, schemas: Mapping[str | None, str]) -> DatabaseObject:
    """`item` in other schemas, owned by whoever builds it.

    What has no schema keeps none, and goes where search_path leads; only functions, and privileges on them and on
    schemas, are written out. The body of a function is left alone: the server keeps it as it is, and does not look
    into it.

    Args:
        item: a declared object.
        schemas: the other schema of each schema that the models name, of None too.
    """
    named = {name: shadow for name, shadow in schemas.items() if name is not None}
    without_default: dict[str | None, str] = dict(named.items())
    if isinstance(item, Function):
        arguments = tuple(
            replace(argument, type=_text(argument.type, named), default=_optional(argument.default, named))
            for argument in item.arguments
        )
        returns = _text(item.returns, named)
        return replace(item.in_schemas(schemas), owner=None, arguments=arguments, returns=returns)
    if isinstance(item, Grant) and item.target not in {"TABLE", "SEQUENCE"}:
        return replace(item.in_schemas(schemas), name=_optional(item.name, named))
    if isinstance(item, Policy):
        using, check = _optional(item.using, named), _optional(item.check, named)
        return replace(item.in_schemas(without_default), using=using, check=check)
    if isinstance(item, Trigger):
        return replace(item.in_schemas(without_default), when=_optional(item.when, named))
    return item.in_schemas(without_default)


def _optional(sql: str | None, schemas: Mapping[str, str]) -> str | None:
    return None if sql is None else _text(sql, schemas)


def _text(sql: str, schemas: Mapping[str, str]) -> str:
    """`sql` with the schemas that it writes out replaced.

    A literal that happens to look like a schema is replaced as well, and is put right again when the names that the
    server prints are (`declarations.rename`).
    """
    for name, shadow in schemas.items():
        quoted = re.escape('"' + name.replace('"', '""') + '"')
        sql = re.sub(rf'(?<![\w".$])(?:{re.escape(name)}|{quoted})(?=\s*\.)', shadow, sql)
    return sql
