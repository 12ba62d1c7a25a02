"""Predict catalog entries that need no server: comments, row-level security (RLS), privileges, plain keys and indexes.

The server stores texts, flags and names unchanged, so these entries are known before. Without them the scratch schema is
built in half the time: each key and index is a file and many catalog rows. An object with a quoted name, an expression,
an operator class or an option is never predicted. If the server needs an omitted object, everything is built again
without predictions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import (
    AddConstraint,
    CreateIndex,
    ForeignKeyConstraint,
    SetColumnComment,
    SetTableComment,
)

from dbschema.ddl.grants import Grant
from dbschema.ddl.row_security import RowSecurity
from dbschema.sql import MAX_NAME_BYTES, Identity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Constraint, Table

    from dbschema.catalog.model import Attributes, Value
    from dbschema.ddl.base import DatabaseObject

PRIVILEGES = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"}
)
ACTIONS = frozenset({None, "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"})
NAME = "[a-z_][a-z0-9_]*"
KEY = re.compile(rf"(?:PRIMARY KEY|UNIQUE) \(({NAME}(?:, {NAME})*)\)")
INDEX = re.compile(
    rf"CREATE (UNIQUE )?INDEX ({NAME}) ON ({NAME}) \(({NAME}(?: DESC)?(?:, {NAME}(?: DESC)?)*)\)"
)


class PredictedEntries:
    """Collects the objects that the server need not see, and adds their entries to the catalog that it returns.

    Args:
        keywords: the words that the server quotes as names.
        user: the connected role. It owns the objects, and an owner's privileges are not read.
        tables: all tables of the models.
    """

    def __init__(self, keywords: Collection[str], user: str, tables: Iterable[Table] = ()) -> None:
        self._keywords = frozenset(keywords)
        self._user = user
        # A foreign key that the server creates needs the key that it references.
        self._referred = {
            element.target_fullname.rpartition(".")[0]
            for table in tables
            for key in table.foreign_key_constraints
            if self._foreign_key(key) is None
            for element in key.elements
        }
        self._comments: dict[Identity, str | None] = {}
        self._entries: dict[Identity, Attributes] = {}

    def takes_element(self, element: Any) -> bool:
        """Whether to leave out this DDL element."""
        if isinstance(element, SetTableComment):
            table = element.element
            self._comments[Identity("table", table.schema, table.name, table.name)] = table.comment
            return True
        if isinstance(element, SetColumnComment):
            column = element.element
            table = column.table
            self._comments[Identity("column", table.schema, table.name, column.name)] = column.comment
            return True
        if isinstance(element, AddConstraint) and isinstance(element.element, ForeignKeyConstraint):
            return self.takes_foreign_key(element.element)
        return False

    def takes_object(self, item: DatabaseObject) -> bool:
        """Whether to leave out this declared object."""
        if isinstance(item, RowSecurity):
            self._entries[item.identity] = {"enabled": True, "forced": item.forced}
            return True
        if not isinstance(item, Grant) or item.target != "TABLE" or item.role == "PUBLIC":
            return False
        if not PRIVILEGES.issuperset(item.privileges):
            return False
        if item.role != self._user:
            privileges = tuple(sorted(set(item.privileges)))
            identity = item.identity
            if item.role == "public":
                identity = identity._replace(name=f"TABLE {item.name} TO PUBLIC")
            self._entries[identity] = {
                "privileges": privileges,
                "grantable": privileges if item.grantable else (),
            }
        return True

    def takes_index(self, element: CreateIndex, statement: str) -> bool:
        """Whether to leave out the index that `statement` creates."""
        index = element.element
        match = INDEX.fullmatch(statement)
        if match is None or not self._is_plain_table(index.table) or index.dialect_kwargs:
            return False
        unique, name, table, items = match.groups()
        if unique and table in self._referred:
            return False
        if not self._are_plain([name, table, *(item.removesuffix(" DESC") for item in items.split(", "))]):
            return False
        self._entries[Identity("index", None, table, name)] = {
            "definition": f"CREATE {unique or ''}INDEX {name} ON {table} USING btree ({items})",
            "valid": True,
            "clustered": False,
            "comment": None,
        }
        return True

    def takes_key(self, key: Constraint, body: str) -> bool:
        """Whether to leave out a primary key or unique constraint; `body` is its SQL."""
        match = KEY.fullmatch(body)
        if match is None or not self._is_plain_constraint(key) or key.deferrable or key.initially:
            return False
        if key.table.fullname in self._referred:
            return False
        columns: Iterable[Any] = getattr(key, "columns", ())
        primary = body.startswith("PRIMARY")
        # A primary key makes its columns NOT NULL: the server must do this for a nullable column.
        if primary and any(column.nullable for column in columns):
            return False
        if not self._are_plain(match[1].split(", ")):
            return False
        self._add_constraint(key, "primary key" if primary else "unique", body, "no", index_valid=True)
        return True

    def takes_foreign_key(self, key: ForeignKeyConstraint) -> bool:
        """Whether to leave out a foreign key."""
        definition = self._foreign_key(key)
        if definition is None:
            return False
        deferrable = "yes" if key.deferrable else "no"
        if (key.initially or "").upper() == "DEFERRED":
            deferrable = "initially deferred"
        self._add_constraint(key, "foreign key", definition, deferrable, index_valid=None)
        return True

    def add_to(self, entries: dict[Identity, Attributes]) -> None:
        """Add the predicted entries to `entries`, in place."""
        for identity, comment in self._comments.items():
            if identity in entries:
                # PostgreSQL stores no empty comment.
                entries[identity] = {**entries[identity], "comment": comment or None}
        for identity, attributes in self._entries.items():
            entries[identity] = _joined(entries.get(identity), attributes)

    def _foreign_key(self, key: ForeignKeyConstraint) -> str | None:
        """Return the definition of a foreign key as the server prints it; None if it cannot be predicted."""
        try:
            referred = key.referred_table
            columns = [column.name for column in key.columns]
            targets = [element.column.name for element in key.elements]
        except SQLAlchemyError:
            return None  # the target does not exist: the server rejects it
        on_delete, on_update = _action(key.ondelete), _action(key.onupdate)
        plain = (
            type(key) is ForeignKeyConstraint
            and self._is_plain_constraint(key)
            and self._is_plain_table(referred)
            and self._are_plain([*columns, *targets])
            and {on_delete, on_update} <= ACTIONS
            and key.match in {None, "SIMPLE", "FULL"}
            and (key.initially or "").upper() in {"", "IMMEDIATE", "DEFERRED"}
        )
        if not plain:
            return None
        definition = f"FOREIGN KEY ({', '.join(columns)}) REFERENCES {referred.name}({', '.join(targets)})"
        if key.match == "FULL":
            definition += " MATCH FULL"
        if on_update not in {None, "NO ACTION"}:
            definition += f" ON UPDATE {on_update}"
        if on_delete not in {None, "NO ACTION"}:
            definition += f" ON DELETE {on_delete}"
        return definition

    def _add_constraint(
        self, key: Constraint, kind: str, definition: str, deferrable: str, *, index_valid: Value
    ) -> None:
        self._entries[Identity("constraint", None, key.table.name, str(key.name))] = {
            "type": kind,
            "definition": definition,
            "validated": True,
            "deferrable": deferrable,
            "enforced": True if kind == "foreign key" else None,
            "no inherit": False,
            "index options": None,
            "index tablespace": None,
            "clustered": False,
            "index valid": index_valid,
            "comment": None,
        }

    def _is_plain_constraint(self, key: Constraint) -> bool:
        return (
            isinstance(key.name, str)
            and len(key.name.encode()) <= MAX_NAME_BYTES
            and not key.dialect_kwargs
            and not key.comment
            and self._is_plain_table(key.table)
        )

    def _is_plain_table(self, table: Table | None) -> bool:
        return (
            table is not None
            and table.schema is None
            and not table.dialect_kwargs
            and self._are_plain([table.name])
        )

    def _are_plain(self, names: Iterable[str]) -> bool:
        return all(
            re.fullmatch(NAME, name)
            and name not in self._keywords
            and not name.startswith("pg_")
            and len(name) <= MAX_NAME_BYTES
            for name in names
        )


class NothingPredicted(PredictedEntries):
    """Predicts nothing: the server creates every object."""

    def __init__(self) -> None:
        super().__init__((), "")

    def takes_element(self, element: Any) -> bool:  # noqa: ARG002  as in PredictedEntries
        """Return False: no DDL element is left out."""
        return False

    def takes_object(self, item: DatabaseObject) -> bool:  # noqa: ARG002  as in PredictedEntries
        """Return False: no declared object is left out."""
        return False

    def takes_index(self, element: CreateIndex, statement: str) -> bool:  # noqa: ARG002  as in PredictedEntries
        """Return False: no index is left out."""
        return False

    def takes_key(self, key: Constraint, body: str) -> bool:  # noqa: ARG002  as in PredictedEntries
        """Return False: no key is left out."""
        return False

    def takes_foreign_key(self, key: ForeignKeyConstraint) -> bool:  # noqa: ARG002  as in PredictedEntries
        """Return False: no foreign key is left out."""
        return False


def _action(action: str | None) -> str | None:
    return None if action is None else " ".join(action.upper().split())


def _joined(before: Attributes | None, added: Attributes) -> Attributes:
    """Merge the attributes of one object; the privileges of both are united."""
    if before is None:
        return added
    joined = dict(before) | dict(added)
    for name in ("privileges", "grantable"):
        ours, theirs = before.get(name), added.get(name)
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            joined[name] = tuple(sorted({*ours, *theirs}))
    return joined
