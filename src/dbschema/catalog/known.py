"""A catalog that was worked out beforehand, in a file: a database that has just that needs no models to be compared with.

What models want is found out by having a server build them. They are what they were when that was done last, unless their
sources have changed; where a database has, letter by letter, what was wanted then, a comparison with the models would find
nothing. Where it has not, because it differs or because its server prints otherwise, nothing is known.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dbschema.catalog import fingerprint
from dbschema.catalog.diff import compare
from dbschema.catalog.model import Catalog
from dbschema.catalog.place import locate
from dbschema.catalog.transaction import entered
from dbschema.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg

    from dbschema.catalog.model import Attributes, Value

FORMAT: Final = 1
"""Raised when a catalog is read or written in another way: older files then do not count any more."""


def write(wanted: Catalog, spoken_of: dict[str, Any], sources: Iterable[Path]) -> str:
    """The text of a file.

    Args:
        wanted: what the models want.
        spoken_of: what to read of a database, beside its default schema: names of extensions and roles.
        sources: the files that decide what the models want.

    Raises:
        ValueError: the models name schemas, whose real names a file cannot know.
    """
    if set(spoken_of["schemas"]) != {None}:
        raise ValueError("models with schemas of their own")
    head = {
        "format": FORMAT,
        "sources": digest(sources),
        "extensions": sorted(spoken_of["extensions"]),
        "roles": sorted(spoken_of["roles"]),
    }
    ordered = sorted(
        wanted.entries.items(), key=lambda item: tuple("" if part is None else part for part in item[0])
    )
    entries = [
        json.dumps([*identity, dict(attributes)], ensure_ascii=False) for identity, attributes in ordered
    ]
    lines = ",\n".join(entries)
    return f'{json.dumps(head)[:-1]}, "entries": [\n{lines}\n]}}\n'


def holds(connection: psycopg.Connection, file: Path, sources: Iterable[Path]) -> bool:
    """Whether the database behind `connection` has what `file` says that the models want; False where that is not known.

    Args:
        connection: in any transaction state; left as it was.
        file: as `write` made it.
        sources: as for `write`.

    Raises:
        CatalogError: the database cannot be read.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["sources"] != digest(sources):
            return False
        wanted = Catalog({Identity(*entry[:4]): _attributes(entry[4]) for entry in content["entries"]})
        extensions, roles = content["extensions"], content["roles"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    with entered(connection) as cursor:
        found = fingerprint.read_at(cursor, locate(cursor), {None: None}, extensions=extensions, roles=roles)
    return compare(wanted, found) == ()


def digest(sources: Iterable[Path]) -> str:
    """The SHA-256 of files, with their names, in the order of these."""
    total = sha256()
    for path in sorted(sources):
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def _attributes(written: dict[str, Any]) -> Attributes:
    found: dict[str, Value] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
    }
    return found
