"""Declare the privileges of a role on an object."""

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
    """The privileges of a role on an object.

    Args:
        privileges: such as ('SELECT', 'INSERT').
        target: 'TABLE', 'SEQUENCE', 'FUNCTION' or 'SCHEMA'.
        name: name of the table or sequence; for a function, with its argument types; None for a SCHEMA.
        role: the role that gets the privileges.
        schema: the schema of the object; None for the default schema. For a SCHEMA, the schema itself.
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
        """Kind, schema, table, and the target with the role."""
        table = self.name if self.target == "TABLE" and self.name is not None else ""
        return Identity(self.kind, self.schema, table, f"{self.target} {self.name or ''} TO {self.role}")

    @property
    def table_key(self) -> tuple[str | None, str] | None:
        """(schema, table) of the table that the privileges are on, or None."""
        return (self.schema, self.name) if self.target == "TABLE" and self.name is not None else None

    @property
    def on(self) -> str:
        """The kind and name of the target, as SQL."""
        if self.target == "SCHEMA":
            return f"SCHEMA {quote(self.schema or 'public')}"
        name = self.name or ""
        if self.target == "FUNCTION":  # the name includes the argument types and is SQL already
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
