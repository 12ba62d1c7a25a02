"""Privileges of one role on one object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dbschema.ddl.base import DatabaseObject, Phase, qualified, quote
from dbschema.sql import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True)
class Grant(DatabaseObject):
    """Privileges of one role on one object.

    Args:
        privileges: such as ('SELECT', 'INSERT').
        target: 'TABLE', 'SEQUENCE', 'FUNCTION' or 'SCHEMA'.
        name: of the table or sequence; of a function with its argument types; None for the default schema itself.
        role: who gets them.
        schema: None for the default schema; for a SCHEMA, the schema itself.
        grantable: WITH GRANT OPTION.
    """

    kind: ClassVar[str] = "grant"
    phase: ClassVar[Phase] = Phase.GRANT

    privileges: tuple[str, ...]
    target: str
    name: str | None
    role: str
    schema: str | None = None
    grantable: bool = False

    @property
    def identity(self) -> Identity:
        """The identity of the object, by which two declarations are compared."""
        table = self.name if self.target == "TABLE" and self.name is not None else ""
        return Identity(self.kind, self.schema, table, f"{self.target} {self.name or ''} TO {self.role}")

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """Schema and name of the table that the object belongs to."""
        return (self.schema, self.name) if self.target == "TABLE" and self.name is not None else None

    @property
    def on(self) -> str:
        """The table or object that it is declared on, as SQL."""
        if self.target == "SCHEMA":
            return f"SCHEMA {quote(self.schema or 'public')}"
        name = self.name or ""
        if self.target == "FUNCTION":  # carries its argument types, and is already written as SQL
            return f"FUNCTION {name if self.schema is None else f'{quote(self.schema)}.{name}'}"
        return f"{self.target} {qualified(self.schema, name)}"

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return (f"GRANT {', '.join(self.privileges)} ON {self.on} TO {quote(self.role)}{option}",)

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        return (f"REVOKE {', '.join(self.privileges)} ON {self.on} FROM {quote(self.role)}",)

    def in_schemas(self, schemas: Mapping[str | None, str]) -> Self:
        """Return a copy with the schemas replaced."""
        return replace(self, schema=schemas.get(self.schema, self.schema))
