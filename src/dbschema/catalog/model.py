"""Catalogs and the differences between them: plain values, without a database.

A catalog maps the identity of each object to its attributes, as the server prints them. Schema names are logical: None
is the default schema, independent of its real name, so that a scratch copy compares with the real schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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

SUMMARY: Mapping[str, str] = MappingProxyType(
    {
        "column": "type",
        "constraint": "definition",
        "index": "definition",
        "policy": "using",
        "trigger": "definition",
        "rule": "definition",
        "statistics": "definition",
        "enum": "labels",
        "domain": "type",
        "composite type": "attributes",
        "range type": "subtype",
        "view": "definition",
        "materialized view": "definition",
        "grant": "privileges",
        "default privileges": "privileges",
    }
)
"""The most informative attribute of a kind; shown for an object that is missing or extra."""


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


@dataclass(frozen=True)
class Difference:
    """One difference between the expected and the actual catalog.

    Args:
        identity: the object.
        change: 'missing' (only expected), 'extra' (only actual) or 'changed' (one attribute differs).
        attribute: the attribute that is 'changed'; else None.
        expected, actual: the two values. For a missing or extra object: its most informative attribute, or None.
    """

    identity: Identity
    change: Change
    attribute: str | None = None
    expected: Value = None
    actual: Value = None

    @property
    def kind(self) -> str:
        """The kind of the object, one of `KINDS`."""
        return self.identity.kind

    @property
    def name(self) -> str:
        """The name of the object with its schema and, for a dependent object, its table."""
        identity = self.identity
        schema = "" if identity.schema is None else f"{identity.schema}."
        if identity.kind == "schema":
            return identity.name or "the default schema"
        if identity.kind == "grant":
            # A grant on a schema names no object: "SCHEMA  TO role".
            name = " ".join(identity.name.split())
            return name if identity.schema is None else f"{name} in schema {identity.schema}"
        if identity.table and identity.table != identity.name:
            return f"{identity.name} on {schema}{identity.table}"
        return f"{schema}{identity.name}"

    def __str__(self) -> str:
        if self.change != "changed":
            return f"{self.change} {self.kind} {self.name}"
        return f"{self.kind} {self.name}: {self.attribute} is {_shown(self.actual)}, wanted {_shown(self.expected)}"


def _shown(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"({', '.join(value)})"
    return repr(value) if isinstance(value, str) else str(value)


_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


def compare(
    expected: Catalog, actual: Catalog, *, ignore: Callable[[Identity], bool] | None = None
) -> tuple[Difference, ...]:
    """Return the differences between two catalogs, ordered by kind, schema, table, name and attribute.

    An object that is missing or extra together with its parent (a column with its table, a grant with its function) is
    not reported separately.

    Args:
        expected: the catalog that the models ask for.
        actual: the catalog of the database.
        ignore: returns True for an identity whose differences are left out. Objects that depend on an ignored object
            are still compared.
    """
    differences = list(_differences(expected, actual))
    if ignore is not None:
        differences = [item for item in differences if not ignore(item.identity)]
    return tuple(sorted(differences, key=_order))


def _differences(expected: Catalog, actual: Catalog) -> Iterator[Difference]:
    missing = expected.entries.keys() - actual.entries.keys()
    extra = actual.entries.keys() - expected.entries.keys()
    for identity in missing:
        if expected.parents.get(identity) not in missing:
            yield Difference(identity, "missing", expected=_summary(identity, expected.entries[identity]))
    for identity in extra:
        if actual.parents.get(identity) not in extra:
            yield Difference(identity, "extra", actual=_summary(identity, actual.entries[identity]))
    for identity, attributes in expected.entries.items():
        other = actual.entries.get(identity)
        if other is None or attributes == other:
            continue
        for name in dict.fromkeys((*attributes, *other)):
            ours, theirs = attributes.get(name), other.get(name)
            if ours != theirs:
                yield Difference(identity, "changed", name, ours, theirs)


def _summary(identity: Identity, attributes: Attributes) -> Value:
    return attributes.get(SUMMARY.get(identity.kind, ""))


def _order(item: Difference) -> tuple[int, str, str, str, str]:
    identity = item.identity
    rank = _RANK.get(identity.kind, len(_RANK))
    return rank, identity.schema or "", identity.table, identity.name, item.attribute or ""
