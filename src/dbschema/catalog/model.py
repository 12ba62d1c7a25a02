"""Catalogs: plain values, without a database.

A catalog maps the identity of each object to its attributes, as the server prints them. Schema names are logical: None
is the default schema, independent of its real name, so that a scratch copy compares with the real schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbschema.sql import Identity


Value: TypeAlias = str | int | bool | tuple[str, ...] | None
Attributes: TypeAlias = "Mapping[str, Value]"
Change: TypeAlias = Literal["missing", "extra", "changed"]

KINDS = (
    "extension",
    "role",
    "schema",
    "table",
    "foreign table",
    "column",
    "constraint",
    "index",
    "row-level security",
    "policy",
    "trigger",
    "rule",
    "statistics",
    "sequence",
    "enum",
    "domain",
    "composite type",
    "range type",
    "function",
    "procedure",
    "aggregate",
    "view",
    "materialized view",
    "grant",
    "default privileges",
)
"""Every kind that is read, in the order in which differences are reported."""


@dataclass(frozen=True)
class Catalog:
    """The objects that a database has, or should have.

    Args:
        entries: attributes by identity. `table` of a relation is its own name; of a dependent object, the relation's name.
        parents: the parent of each object that is created and dropped with another object.
    """

    entries: Mapping[Identity, Attributes]
    parents: Mapping[Identity, Identity] = field(default_factory=dict)

    @cached_property
    def _by_kind(self) -> Mapping[str, Mapping[Identity, Attributes]]:
        kinds: dict[str, dict[Identity, Attributes]] = {}
        for identity, attributes in self.entries.items():
            kinds.setdefault(identity.kind, {})[identity] = attributes
        return kinds

    def of(self, kind: str) -> Mapping[Identity, Attributes]:
        """Return the entries of one kind (one of `KINDS`); empty if the catalog has none."""
        return self._by_kind.get(kind, {})

    def __contains__(self, identity: object) -> bool:
        return identity in self.entries

    def __getitem__(self, identity: Identity) -> Attributes:
        return self.entries[identity]

    def __len__(self) -> int:
        return len(self.entries)
