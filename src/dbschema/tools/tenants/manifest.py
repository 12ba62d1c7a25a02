"""What an export says about itself: `manifest.json`, read with suspicion."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dbschema.tools.tenants.errors import bad_export

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "dbschema tenant"
VERSION = 1
MANIFEST = "manifest.json"

_FILE = re.compile(r"[0-9]{3,6}_[A-Za-z0-9_]{1,200}\.copy")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TableEntry:
    """One table of an export.

    Args:
        table: its name, with its schema where the models name one.
        file: the file beside the manifest that holds its rows, as PostgreSQL's COPY writes text, in UTF-8.
        columns: names and types of its columns, in the order of the file.
        rows, bytes, sha256: what the file holds.
    """

    table: str
    file: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """An export of a tenant.

    Args:
        tenant_id, slug, name: the tenant.
        revisions: what the database was at.
        tables: in the order of their foreign keys, the table of tenants first.
    """

    tenant_id: UUID
    slug: str
    name: str
    revisions: tuple[str, ...]
    tables: tuple[TableEntry, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        return {entry.table: entry.rows for entry in self.tables}

    def dump(self) -> str:
        """The text of `manifest.json`: the same for the same content."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "tenant": {"id": str(self.tenant_id), "slug": self.slug, "name": self.name},
            "revisions": self.revisions,
            "tables": [asdict(entry) for entry in self.tables],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def parse(text: str, place: str) -> Manifest:
    """Read the text of a manifest.

    Raises:
        BadExport: it is none, is of another version, or names what no export would.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_export(place, "it is no JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise bad_export(place, f"it is no manifest of a {FORMAT!r} export")
    if content.get("version") != VERSION:
        raise bad_export(
            place, f"it is of version {content.get('version')!r}, and this package reads version {VERSION}"
        )
    try:
        tenant = content["tenant"]
        manifest = Manifest(
            UUID(_text(tenant["id"])),
            _text(tenant["slug"]),
            _text(tenant["name"]),
            tuple(_text(one) for one in content["revisions"]),
            tuple(_entry(one) for one in content["tables"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_export(place, f"it is incomplete or malformed ({type(error).__name__}: {error})") from error
    for what in ("table", "file"):
        named = [getattr(entry, what) for entry in manifest.tables]
        if len(set(named)) != len(named):
            raise bad_export(place, f"it names a {what} twice")
    return manifest


def file_name(number: int, table: str) -> str:
    """The name of a table's file: its place in the order, and what can stand in a file name of its own."""
    return f"{number:03}_{re.sub(r'[^A-Za-z0-9_]', '_', table)}.copy"


def _entry(value: Mapping[str, Any]) -> TableEntry:
    columns = tuple((_text(name), _text(kind)) for name, kind in value["columns"])
    entry = TableEntry(
        _text(value["table"]),
        _text(value["file"]),
        columns,
        _count(value["rows"]),
        _count(value["bytes"]),
        _text(value["sha256"]),
    )
    if not _FILE.fullmatch(entry.file):
        raise ValueError(f"{entry.file!r} is no name of a file of an export")
    if not _HASH.fullmatch(entry.sha256):
        raise ValueError(f"{entry.sha256!r} is no SHA-256")
    if not columns:
        raise ValueError(f"table {entry.table!r} has no columns")
    return entry


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of things")
    return value
