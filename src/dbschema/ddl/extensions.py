"""Declare an extension that the schema needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dbschema.ddl.base import DatabaseObject, Phase, guarded, quote
from dbschema.sql import Identity


@dataclass(frozen=True)
class Extension(DatabaseObject):
    """An extension. A drop keeps it while another object depends on it or another role owns it."""

    kind: ClassVar[str] = "extension"
    phase: ClassVar[Phase] = Phase.EXTENSION

    name: str

    @property
    def identity(self) -> Identity:
        """Kind and name: an extension is unique within its database."""
        return Identity(self.kind, None, "", self.name)

    def create(self) -> tuple[str, ...]:
        """Return the statements that create the object."""
        return (f"CREATE EXTENSION IF NOT EXISTS {quote(self.name)}",)

    def drop(self) -> tuple[str, ...]:
        """Return the statements that drop the object."""
        return (
            guarded(
                f"DROP EXTENSION IF EXISTS {quote(self.name)}",
                f"extension {self.name} stays: it is still needed",
            ),
        )
