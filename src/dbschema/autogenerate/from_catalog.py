"""Make an object from its catalog entry, with the statements that create and drop it.

A downgrade must restore the object of the database, and an object that a model creates by its own events has no
declaration. For both only the catalog entry is known. Bodies of functions are preserved byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from dbschema.ddl.base import DatabaseObject, Phase, dollar_quoted, give, qualified, quote, take
from dbschema.ddl.extensions import Extension
from dbschema.ddl.roles import Role
from dbschema.ddl.row_security import Policy, RowSecurity
from dbschema.errors import CatalogError
from dbschema.sql import Identity, sql_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dbschema.catalog import Attributes, Catalog

# Settings whose values are lists of names; the server stores the names quoted as needed.
_LISTS_OF_NAMES = frozenset(
    {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
)
_ENABLED = {"origin": "ENABLE", "disabled": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}
_SQL_BODY = re.compile(r"(BEGIN ATOMIC\b|RETURN )")
# The usual order; the catalog sorts them alphabetically.
_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE", "CREATE")


@dataclass(frozen=True)
class CatalogObject(DatabaseObject):
    """An object with statements made from its catalog entry.

    Args:
        object_identity: the identity of the object.
        created_in: the phase in which the object is created.
        create_statements, drop_statements: the statements that create and drop it.
        body: of a function, the source between dollar quotes in `create_statements`.
        definition_statement: of a function, the statement CREATE FUNCTION alone.
    """

    object_identity: Identity
    created_in: Phase
    create_statements: tuple[str, ...]
    drop_statements: tuple[str, ...]
    body: str | None = None
    definition_statement: str = ""

    @property
    def identity(self) -> Identity:
        """The identity of the object."""
        return self.object_identity

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """Schema and name of the table that the object belongs to."""
        return (
            (self.object_identity.schema, self.object_identity.table) if self.object_identity.table else None
        )

    @property
    def order(self) -> Phase:
        """The phase in which the object is created."""
        return self.created_in

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        return self.create_statements

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        return self.drop_statements

    def definition(self) -> tuple[str, ...]:
        """Return the statement CREATE FUNCTION alone."""
        return (self.definition_statement,)


def object_from_catalog(identity: Identity, catalog: Catalog) -> DatabaseObject:
    """Return the object of `catalog` with `identity`.

    Raises:
        CatalogError: autogenerate does not write objects of this kind.
    """
    build = _BUILDERS.get(identity.kind)
    if build is None:
        raise CatalogError(
            f"Autogenerate does not write the {identity.kind} {identity.name!r}",
            "Write it into a revision by hand",
        )
    return build(identity, catalog[identity], catalog)


def comment_on(kind: str, name: str, comment: object) -> str:
    """Return the statement that sets a comment, or removes it (None)."""
    return f"COMMENT ON {kind} {name} IS {'NULL' if comment is None else sql_string(str(comment))}"


def on_table(identity: Identity) -> str:
    """Return `name ON table`: the name of a policy or trigger in DROP and COMMENT."""
    return f"{quote(identity.name)} ON {qualified(identity.schema, identity.table)}"


def switch(identity: Identity, enabled: object) -> str:
    """Return the statement that sets when a trigger fires: 'origin' (the default), 'disabled', 'replica' or 'always'."""
    table = qualified(identity.schema, identity.table)
    return f"ALTER TABLE {table} {_ENABLED[str(enabled)]} TRIGGER {quote(identity.name)}"


def signature(identity: Identity) -> str:
    """Return the name of a function in DROP, COMMENT and GRANT."""
    name, _, types = identity.name.partition("(")
    return f"{qualified(identity.schema, name)}({types}"


def as_owner(identity: Identity, owner: object, statements: Iterable[str]) -> tuple[str, ...]:
    """Make the current role the owner of a function for `statements`; `owner` None: it is the owner already."""
    if owner is None:
        return tuple(statements)
    target = signature(identity)
    return (take(target, str(owner)), *statements, give(target, identity.schema, str(owner)))


def _function(identity: Identity, attributes: Attributes, catalog: Catalog) -> CatalogObject:
    target = signature(identity)
    body = str(attributes["body"])
    is_sql_body = attributes["language"] == "sql" and _SQL_BODY.match(body)
    definition = "\n".join(
        [*_head(identity, attributes), body if is_sql_body else f"AS {dollar_quoted(body)}"]
    )
    statements = [definition]
    if attributes["comment"] is not None:
        statements.append(comment_on("FUNCTION", target, attributes["comment"]))
    # Other EXECUTE privileges, including those of PUBLIC, are separate grants.
    statements.append(f"REVOKE ALL ON FUNCTION {target} FROM PUBLIC")
    # PostgreSQL resolves the tables of an SQL body at creation; in other languages, at execution.
    referenced = f"{attributes['arguments']} {attributes['result']} "
    if attributes["language"] == "sql":
        referenced += body
    tables = {item.name for kind in ("table", "view", "materialized view") for item in catalog.of(kind)}
    needs_tables = not tables.isdisjoint(re.findall(r"\w+", referenced))
    owner = attributes["owner"]
    take_over = () if owner is None else (take(target, str(owner)),)
    return CatalogObject(
        identity,
        Phase.TABLE_FUNCTION if needs_tables else Phase.FUNCTION,
        as_owner(identity, owner, statements),
        (*take_over, f"DROP FUNCTION {target}"),
        None if is_sql_body else body,
        definition,
    )


def _head(identity: Identity, attributes: Attributes) -> Iterable[str]:
    name = identity.name.partition("(")[0]
    yield f"CREATE OR REPLACE FUNCTION {qualified(identity.schema, name)}({attributes['arguments']})"
    yield f" RETURNS {attributes['result']}"
    yield f" LANGUAGE {quote(str(attributes['language']))}"
    options = []
    if attributes["window"]:
        options.append("WINDOW")
    for attribute, usual in (("volatility", "volatile"), ("parallel", "unsafe")):
        value = str(attributes[attribute])
        if value != usual:
            options.append(f"PARALLEL {value.upper()}" if attribute == "parallel" else value.upper())
    options += [word.upper() for word in ("leakproof", "strict", "security definer") if attributes[word]]
    if attributes["cost"] != ("1" if attributes["language"] in {"c", "internal"} else "100"):
        options.append(f"COST {attributes['cost']}")
    if attributes["rows"] not in {"0", "1000"}:
        options.append(f"ROWS {attributes['rows']}")
    if attributes["support"] is not None:
        options.append(f"SUPPORT {attributes['support']}")
    if options:
        yield " " + " ".join(options)
    for setting in cast("tuple[str, ...]", attributes["settings"] or ()):
        name, _, value = setting.partition("=")
        yield f" SET {quote(name)} TO {value if name in _LISTS_OF_NAMES and value else sql_string(value)}"


def _trigger(identity: Identity, attributes: Attributes, _: Catalog) -> CatalogObject:
    statements = [str(attributes["definition"])]
    if attributes["comment"] is not None:
        statements.append(comment_on("TRIGGER", on_table(identity), attributes["comment"]))
    if attributes["enabled"] != "origin":
        statements.append(switch(identity, attributes["enabled"]))
    return CatalogObject(identity, Phase.TRIGGER, tuple(statements), (f"DROP TRIGGER {on_table(identity)}",))


def _policy(identity: Identity, attributes: Attributes, _: Catalog) -> Policy:
    values = cast("Mapping[str, str | None]", attributes)
    return Policy(
        identity.name,
        identity.table,
        using=values["using"],
        check=values["check"],
        command=str(values["command"]),
        roles=tuple(role for role in cast("tuple[str, ...]", attributes["roles"]) if role != "PUBLIC"),
        permissive=bool(attributes["permissive"]),
        comment=values["comment"],
        schema=identity.schema,
    )


def row_security(identity: Identity, attributes: Attributes) -> DatabaseObject:
    """Return the state of row-level security (RLS) as an object; a table can have it forced and not enabled."""
    if attributes["enabled"]:
        return RowSecurity(identity.table, forced=bool(attributes["forced"]), schema=identity.schema)
    table = qualified(identity.schema, identity.table)
    forced = bool(attributes["forced"])
    return CatalogObject(
        identity,
        Phase.ROW_SECURITY,
        (f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",) if forced else (),
        (f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",) if forced else (),
    )


def grant(identity: Identity, attributes: Attributes, catalog: Catalog) -> CatalogObject:
    """Return the privileges of one grantee on one object of `catalog`."""
    empty: Attributes = {"privileges": (), "grantable": ()}
    return CatalogObject(
        identity,
        Phase.GRANT,
        privileges_changed(identity, empty, attributes, catalog),
        privileges_changed(identity, attributes, empty, catalog),
    )


def privileges_changed(
    identity: Identity, before: Attributes, after: Attributes, catalog: Catalog
) -> tuple[str, ...]:
    """Return the statements that turn one set of privileges into another: first GRANT, then REVOKE.

    Args:
        identity: the identity of the grant.
        before, after: its attributes.
        catalog: contains the owner of a function at that moment; only the owner can grant and revoke.
    """
    held, held_after = _names(before["privileges"]), _names(after["privileges"])
    grantable, grantable_after = _names(before["grantable"]), _names(after["grantable"])
    target, _, rest = identity.name.partition(" ")
    name, _, role = rest.rpartition(" TO ")
    to = "PUBLIC" if role == "PUBLIC" else quote(role)
    statements = []
    for privileges, template in (
        (held_after - grantable_after - held, "GRANT {} TO {to}"),
        (grantable_after - grantable, "GRANT {} TO {to} WITH GRANT OPTION"),
        ((grantable - grantable_after) & held_after, "REVOKE GRANT OPTION FOR {} FROM {to}"),
        (held - held_after, "REVOKE {} FROM {to}"),
    ):
        if privileges:
            statements.append(template.format(_on(identity, privileges), to=to))
    function = Identity("function", identity.schema, "", name)
    if target != "FUNCTION" or function not in catalog:
        return tuple(statements)
    return as_owner(function, catalog[function]["owner"], statements)


def _names(value: object) -> frozenset[str]:
    return frozenset(cast("tuple[str, ...]", value))


def _on(identity: Identity, privileges: Iterable[str]) -> str:
    """Return `SELECT, INSERT ON TABLE goods`, for each kind of object."""
    target, _, rest = identity.name.partition(" ")
    name = rest.rpartition(" TO ")[0]
    rank = {privilege: place for place, privilege in enumerate(_PRIVILEGES)}
    ordered = sorted(privileges, key=lambda privilege: (rank.get(privilege, len(rank)), privilege))
    if target == "COLUMN":
        column = quote(name.removeprefix(f"{identity.table}."))
        listed = ", ".join(f"{privilege} ({column})" for privilege in ordered)
        return f"{listed} ON TABLE {qualified(identity.schema, identity.table)}"
    if target == "SCHEMA":
        place = quote(identity.schema or "public")
    elif target in {"FUNCTION", "PROCEDURE"}:
        place = signature(identity._replace(name=name))
    else:
        place = qualified(identity.schema, name)
    return f"{', '.join(ordered)} ON {target} {place}"


_BUILDERS: dict[str, Callable[[Identity, Attributes, Catalog], DatabaseObject]] = {
    "extension": lambda identity, _, __: Extension(identity.name),
    "role": lambda identity, _, __: Role(identity.name),
    "function": _function,
    "trigger": _trigger,
    "policy": _policy,
    "row-level security": lambda identity, attributes, _: row_security(identity, attributes),
    "grant": grant,
}
