"""Read the catalog of a database: one query a kind of object, under the same settings for both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dbschema.catalog.model import Catalog
from dbschema.catalog.queries import POSITIONS, PRESENT, QUERIES, RARE
from dbschema.catalog.queries.parts import MEMBERS
from dbschema.catalog.session import VERSION_TABLE, ask, ask_all, entered, locate, oids, settle
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sqlalchemy import Connection

    from dbschema.catalog.model import Attributes
    from dbschema.catalog.session import Place


TEXT_ARRAYS = frozenset({1003, 1009})
"""Oids of name[] and text[], the only types that the driver returns as lists."""


@dataclass(frozen=True)
class Scope:
    """The part of a database to read.

    Args:
        schemas: logical name by oid; several oids may have one name.
        owners: oids of the roles whose ownership is not reported.
        extensions, roles: names to look for.
        version_table: name of the table that is left out.
        without: kinds that are not read.
        has_members: whether the schemas may contain members of extensions.
    """

    schemas: Mapping[int, str | None]
    owners: Collection[int]
    extensions: Collection[str] = ()
    roles: Collection[str] = ()
    version_table: str = VERSION_TABLE
    without: Collection[str] = ()
    has_members: bool = True


@dataclass
class IntrospectedRows:
    """The rows that the server returned, before they become a `Catalog`: entries, and the target of each grant."""

    entries: dict[Identity, Attributes]
    granted: list[Granted]

    def catalog(self) -> Catalog:
        """Return the rows as a catalog, with the parent of each object."""
        return Catalog(self.entries, parents_of(self.entries, self.granted))


def read(
    connection: Connection,
    *,
    schemas: Mapping[str | None, str | None] | None = None,
    extensions: Collection[str] = (),
    roles: Collection[str] = (),
    version_table: str = VERSION_TABLE,
    positions: bool = False,
) -> Catalog:
    """Return the catalog of the database behind `connection`.

    Args:
        connection: in any transaction state, which is preserved.
        schemas: logical name by real name of each schema to read. None, as either name, is the default schema: the
            first of the connection's search_path. Missing schemas are skipped. Default: only the default schema.
        extensions, roles: names to look for; others are not read.
        version_table: Alembic's version table; left out.
        positions: read the positions of columns as well (for newly built databases).

    Raises:
        CatalogError: the connection is in a failed transaction, has no default schema, or the server does not answer.
    """
    with entered(connection) as cursor:
        place = locate(cursor, version_table)
        kinds: Mapping[str | None, str | None] = {None: None} if schemas is None else schemas
        return read_at(cursor, place, kinds, extensions=extensions, roles=roles, positions=positions)


def read_at(
    cursor: Any,
    place: Place,
    schemas: Mapping[str | None, str | None],
    *,
    extensions: Collection[str] = (),
    roles: Collection[str] = (),
    positions: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Catalog:
    """Read as `read` does, with the cursor of a scratch transaction. Calls `meanwhile` while the server executes."""
    settle(cursor, [place.default_schema, *place.extension_schemas])
    names = {name: logical for name, logical in schemas.items() if name is not None}
    if None in schemas:
        names[place.default_schema] = schemas[None]
    scope = Scope(oids(cursor, names), place.owners, extensions, roles, place.version_table)
    result = collect(cursor, scope, meanwhile)
    if positions:
        add_positions(cursor, scope, result)
    return result.catalog()


def collect(cursor: Any, scope: Scope, meanwhile: Callable[[], None] | None = None) -> IntrospectedRows:
    """Execute all queries of `scope`. Needs `settle` before. Calls `meanwhile` while the server executes."""
    result = IntrospectedRows({}, [])
    logical: dict[int | None, str | None] = dict(scope.schemas.items())
    logical[None] = None
    filled = _filling(cursor, scope)
    absent = RARE - {kind for (kind,) in ask(cursor, filled(PRESENT))}
    kinds = [kind for kind in QUERIES if kind not in absent and kind not in scope.without]
    for kind, (columns, rows) in zip(
        kinds, ask_all(cursor, [filled(QUERIES[kind]) for kind in kinds], meanwhile), strict=True
    ):
        attributes = [column[0] for column in columns[4:]]
        arrays = [i for i, column in enumerate(columns) if column[1] in TEXT_ARRAYS]
        for values in rows:
            row = _with_tuples(values, arrays) if arrays else values
            schema = logical[row[1]]
            identity = Identity(row[0], schema, row[2], row[3])
            if kind == "grant":
                result.granted.append((identity, row[4], row[5]))
                result.entries[identity] = dict(zip(attributes[2:], row[6:], strict=True))
            elif kind == "schema":
                result.entries[Identity(kind, schema, "", schema or "")] = {}
            else:
                result.entries[identity] = dict(zip(attributes, row[4:], strict=True))
    return result


def add_positions(cursor: Any, scope: Scope, result: IntrospectedRows) -> None:
    """Add to each column its position among the existing columns."""
    for _, nsp, table, name, position in ask(cursor, _filling(cursor, scope)(POSITIONS)):
        identity = Identity("column", scope.schemas[nsp], table, name)
        result.entries[identity] = {**result.entries[identity], "position": position}


def _with_tuples(row: tuple[Any, ...], arrays: Iterable[int]) -> tuple[Any, ...]:
    values = list(row)
    for i in arrays:
        if values[i] is not None:
            values[i] = tuple(values[i])
    return tuple(values)


def _filling(cursor: Any, scope: Scope) -> Any:
    relations, types, functions = ask(cursor, MEMBERS)[0] if scope.has_members else ((), (), ())
    values = {
        ":schemas": _array(scope.schemas, "oid"),
        ":owners": _array(scope.owners, "oid"),
        ":version_table": sql_string(scope.version_table),
        ":extensions": _array(scope.extensions, "name"),
        ":roles": _array(scope.roles, "name"),
        ":member_relations": _array(relations, "oid"),
        ":member_types": _array(types, "oid"),
        ":member_functions": _array(functions, "oid"),
    }

    def fill(query: str) -> str:
        for placeholder, value in values.items():
            query = query.replace(placeholder, value)
        return query

    return fill


def _array(values: Iterable[object], element: str) -> str:
    listed = ",".join('"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return f"{sql_string('{' + listed + '}')}::{element}[]"


Granted: TypeAlias = tuple[Identity, str, str]
"""A grant: its identity, the kind of its target in the syntax of GRANT, and the name of the target."""

RELATIONS = frozenset({"table", "foreign table", "view", "materialized view"})
TYPES = frozenset({"enum", "domain", "composite type", "range type"})
TOP_LEVEL = frozenset({"extension", "role", "schema"})
CODE = frozenset({"function", "procedure", "aggregate"})


def parents_of(
    entries: Mapping[Identity, Attributes], granted: Iterable[Granted] = ()
) -> dict[Identity, Identity]:
    """Return the parent of each entry that has one: its table, its schema, or the target of a grant."""
    relations = {(item.schema, item.table): item for item in entries if item.kind in RELATIONS}
    types = {(item.schema, item.name): item for item in entries if item.kind in TYPES}
    code = {(item.schema, item.name): item for item in entries if item.kind in CODE}
    parents: dict[Identity, Identity] = {}
    for item, attributes in entries.items():
        if item.kind in TOP_LEVEL:
            continue
        table = "" if item.kind in RELATIONS else item.table
        if item.kind == "sequence":
            table = str(attributes.get("owned by table") or "")
        parents[item] = relations.get((item.schema, table)) or schema_of(item)
    for item, target, name in granted:
        if target == "COLUMN":
            parents[item] = Identity("column", item.schema, item.table, name.removeprefix(f"{item.table}."))
        elif target == "TYPE":
            parents[item] = types.get((item.schema, name)) or schema_of(item)
        elif target == "SEQUENCE":
            parents[item] = Identity("sequence", item.schema, "", name)
        elif target in {"FUNCTION", "PROCEDURE"}:
            parents[item] = code.get((item.schema, name)) or schema_of(item)
    return parents


def schema_of(item: Identity) -> Identity:
    """Return the identity of the schema of `item`."""
    return Identity("schema", item.schema, "", item.schema or "")
