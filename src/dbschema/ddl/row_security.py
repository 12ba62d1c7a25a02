"""Declare row-level security (RLS) of a table, and its policies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dbschema.ddl.base import DatabaseObject, OnTable, Phase, commented, qualified, quote
from dbschema.sql import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True)
class RowSecurity(DatabaseObject):
    """Row-level security of a table: enabled, and with `forced` for the table's owner too."""

    kind: ClassVar[str] = "row-level security"
    phase: ClassVar[Phase] = Phase.ROW_SECURITY

    table: str
    forced: bool = True
    schema: str | None = None

    @property
    def identity(self) -> Identity:
        """Kind, schema and table: a table has this object at most once."""
        return Identity(self.kind, self.schema, self.table, self.table)

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that the object belongs to."""
        return self.schema, self.table

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        on = qualified(self.schema, self.table)
        force = (f"ALTER TABLE {on} FORCE ROW LEVEL SECURITY",) if self.forced else ()
        return (f"ALTER TABLE {on} ENABLE ROW LEVEL SECURITY", *force)

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        on = qualified(self.schema, self.table)
        force = (f"ALTER TABLE {on} NO FORCE ROW LEVEL SECURITY",) if self.forced else ()
        return (*force, f"ALTER TABLE {on} DISABLE ROW LEVEL SECURITY")

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        return replace(self, schema=schemas.get(self.schema, self.schema))


@dataclass(frozen=True)
class Policy(OnTable):
    """A policy of row-level security.

    Args:
        name, table: the name is unique within its table.
        using: condition on visible rows, as SQL; None if the command has no such condition (INSERT).
        check: condition on written rows, as SQL; None: the same as `using`.
        command: 'ALL', 'SELECT', 'INSERT', 'UPDATE' or 'DELETE'.
        roles: the roles that the policy applies to; empty: all roles.
        permissive: permissive policies are combined with OR, restrictive policies with AND.
    """

    kind: ClassVar[str] = "policy"
    phase: ClassVar[Phase] = Phase.POLICY

    using: str | None = None
    check: str | None = None
    command: str = "ALL"
    roles: tuple[str, ...] = ()
    permissive: bool = True
    comment: str | None = None

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        parts = [f"CREATE POLICY {quote(self.name)} ON {self.on}"]
        if not self.permissive:
            parts.append("AS RESTRICTIVE")
        if self.command != "ALL":
            parts.append(f"FOR {self.command}")
        if self.roles:
            parts.append(f"TO {', '.join(map(quote, self.roles))}")
        if self.using is not None:
            parts.append(f"USING ({self.using})")
        if self.check is not None:
            parts.append(f"WITH CHECK ({self.check})")
        return (" ".join(parts), *commented("POLICY", f"{quote(self.name)} ON {self.on}", self.comment))

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        return (f"DROP POLICY {quote(self.name)} ON {self.on}",)
