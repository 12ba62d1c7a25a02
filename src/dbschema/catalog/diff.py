"""The differences between two catalogs: a pure function of two values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.catalog.model import GIST, KINDS, Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbschema.catalog.model import Attributes, Catalog, Value
    from dbschema.identity import Identity

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


def compare(
    wanted: Catalog, found: Catalog, *, ignore: Callable[[Identity], bool] | None = None
) -> tuple[Difference, ...]:
    """What `found` has otherwise than `wanted`, by kind, schema, table, name and attribute.

    What comes or goes with another object (a column with its table, a grant with its function) is not told beside it.

    Args:
        wanted: what the models declare.
        found: what the database has.
        ignore: says of an identity that its differences are not to be told. Ignored is not absent: what stands on
            an ignored object is compared all the same.
    """
    differences = list(_differences(wanted, found))
    if ignore is not None:
        differences = [item for item in differences if not ignore(item.identity)]
    return tuple(sorted(differences, key=_order))


def _differences(wanted: Catalog, found: Catalog) -> Iterator[Difference]:
    missing = wanted.entries.keys() - found.entries.keys()
    extra = found.entries.keys() - wanted.entries.keys()
    for identity in missing:
        if wanted.parents.get(identity) not in missing:
            yield Difference(identity, "missing", wanted=_gist(identity, wanted.entries[identity]))
    for identity in extra:
        if found.parents.get(identity) not in extra:
            yield Difference(identity, "extra", found=_gist(identity, found.entries[identity]))
    for identity, attributes in wanted.entries.items():
        other = found.entries.get(identity)
        if other is None or attributes == other:
            continue
        for name in dict.fromkeys((*attributes, *other)):
            ours, theirs = attributes.get(name), other.get(name)
            if ours != theirs:
                yield Difference(identity, "changed", name, ours, theirs)


def _gist(identity: Identity, attributes: Attributes) -> Value:
    return attributes.get(GIST.get(identity.kind, ""))


def _order(item: Difference) -> tuple[int, str, str, str, str]:
    identity = item.identity
    rank = _RANK.get(identity.kind, len(_RANK))
    return rank, identity.schema or "", identity.table, identity.name, item.attribute or ""
