"""Which objects two catalogs do not have alike: `compare`, and its `Difference`."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dbschema.catalog.model import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dbschema.catalog.model import Attributes, Catalog, Change, Value
    from dbschema.sql import Identity


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
