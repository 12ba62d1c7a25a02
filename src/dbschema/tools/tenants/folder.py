"""Write and read the folder of an export: its files and its `manifest.json`.

The folder is written completely or not at all. Reading validates everything and follows no links, because the files can
come from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from dbschema.tools.tenants.errors import bad_export, folder_taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


FORMAT = "dbschema tenant"
VERSION = 1
MANIFEST = "manifest.json"

_FILE = re.compile(r"[0-9]{3,6}_[A-Za-z0-9_]{1,200}\.copy")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TableEntry:
    """One table of an export.

    Args:
        table: the name of the table, with its schema if the models name one.
        file: the name of the file with its rows, beside the manifest: text of PostgreSQL's COPY, in UTF-8.
        columns: the names and types of its columns, in the order of the file.
        rows, bytes, sha256: the number of rows, the size and the hash of the file.
    """

    table: str
    file: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of an export of a tenant.

    Args:
        tenant_id, slug, name: the tenant.
        revisions: the revisions of the database at the time of the export.
        tables: the tables in the order of their foreign keys, the table of tenants first.
    """

    tenant_id: UUID
    slug: str
    name: str
    revisions: tuple[str, ...]
    tables: tuple[TableEntry, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {entry.table: entry.rows for entry in self.tables}

    def dump(self) -> str:
        """Return the text of `manifest.json`; it is deterministic."""
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
        BadExport: it is not a manifest, has another version, or contains invalid values.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_export(place, "it is not JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise bad_export(place, f"it is not a manifest of a {FORMAT!r} export")
    if content.get("version") != VERSION:
        raise bad_export(
            place, f"it has version {content.get('version')!r}, and this package reads version {VERSION}"
        )
    try:
        tenant = content["tenant"]
        manifest = Manifest(
            UUID(_text(tenant["id"])),
            _text(tenant["slug"]),
            _text(tenant["name"]),
            tuple(_text(revision) for revision in content["revisions"]),
            tuple(_entry(table) for table in content["tables"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_export(place, f"it is incomplete or malformed ({type(error).__name__}: {error})") from error
    for what in ("table", "file"):
        named = [getattr(entry, what) for entry in manifest.tables]
        if len(set(named)) != len(named):
            raise bad_export(place, f"it names a {what} twice")
    return manifest


def file_name(number: int, table: str) -> str:
    """Return the name of a table's file: its position, and the table name with other characters replaced by `_`."""
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
        raise ValueError(f"{entry.sha256!r} is not a SHA-256 hash")
    if not columns:
        raise ValueError(f"table {entry.table!r} has no columns")
    return entry


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


CHUNK = 1 << 20
_LARGEST_MANIFEST = 64 << 20


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder beside `folder`; rename it after the block, or remove it after an error.

    Only its owner may read it, because it contains the data of a tenant.

    Raises:
        TenantsError: `folder` exists already.
    """
    if os.path.lexists(folder):
        raise folder_taken(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        _sync(partial)
        try:
            partial.rename(folder)
        except OSError as error:  # another process has created it meanwhile, and it is not empty
            raise folder_taken(folder) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class Sink:
    """A file being written, with its rows and bytes counted and its content hashed."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self.rows = 0
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        self._pending: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> None:
        """Append lines; each line is a row, because COPY escapes line breaks within values."""
        self.rows += data.count(b"\n")
        self.bytes += len(data)
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= CHUNK:
            self._flush()

    def close(self) -> str:
        """Write the pending data, sync the file to disk, and return its SHA-256."""
        self._flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Close the file after a failure, without the pending data."""
        self._file.close()

    def _flush(self) -> None:
        block = b"".join(self._pending)
        self._pending, self._waiting = [], 0
        self._hash.update(block)
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an export.

    Raises:
        BadExport: the file is missing, or is not a manifest of an export.
    """
    place = str(folder / MANIFEST)
    with _open(folder / MANIFEST) as file:
        data = file.read(_LARGEST_MANIFEST + 1)
    if len(data) > _LARGEST_MANIFEST:
        raise bad_export(place, "it is larger than any manifest")
    try:
        return parse(data.decode(), place)
    except UnicodeDecodeError as error:
        raise bad_export(place, "it is not text in UTF-8") from error


def verify(folder: Path, entries: Iterable[TableEntry]) -> None:
    """Check each file against the manifest.

    Raises:
        BadExport: see `blocks`.
    """
    for entry in entries:
        for _ in blocks(folder, entry):
            pass


def blocks(folder: Path, entry: TableEntry) -> Iterator[bytes]:
    """Yield the file of a table in blocks; a wrong hash is raised after the last block.

    Raises:
        BadExport: the file is missing, is not a regular file, or its size or hash differs from the manifest.
    """
    path = folder / entry.file
    digest = hashlib.sha256()
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.bytes:
            raise bad_export(str(path), f"it has {size:,} bytes, and the manifest says {entry.bytes:,}")
        left = entry.bytes
        while left and (block := file.read(min(CHUNK, left))):
            left -= len(block)
            digest.update(block)
            yield block
    if left or digest.hexdigest() != entry.sha256:
        raise bad_export(str(path), "it is not what was exported: its SHA-256 differs from the manifest's")


def _open(path: Path) -> IO[bytes]:
    """Open a regular file: a link could lead anywhere, and a pipe could have no end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise bad_export(str(path), f"it cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise bad_export(str(path), "it is not a regular file")
    return os.fdopen(handle, "rb")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
