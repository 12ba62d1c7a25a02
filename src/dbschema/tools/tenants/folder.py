"""What an export says about itself: `manifest.json`, read with suspicion.

The folder of an export on disk: written whole or not at all, and never followed to elsewhere.
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


CHUNK = 1 << 20
_LARGEST_MANIFEST = 64 << 20


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write into, which gets its name when all is done, and goes when something fails.

    Only its owner may read it: what a tenant has is nobody else's business.

    Raises:
        LifecycleError: `folder` is there already.
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
        except OSError as error:  # somebody made it meanwhile, and put something into it
            raise folder_taken(folder) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class Sink:
    """A file that is being written: it counts and hashes what goes into it."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self.rows = 0
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        self._pending: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> None:
        """Add lines; a line is a row, because COPY escapes the line breaks within values."""
        self.rows += data.count(b"\n")
        self.bytes += len(data)
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= CHUNK:
            self._flush()

    def close(self) -> str:
        """Write what is pending, for good; gives the SHA-256 of all."""
        self._flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Close the file of an export that failed."""
        self._file.close()

    def _flush(self) -> None:
        block = b"".join(self._pending)
        self._pending, self._waiting = [], 0
        self._hash.update(block)
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export.

    Raises:
        BadExport: there is none, or it is not what an export writes.
    """
    place = str(folder / MANIFEST)
    with _open(folder / MANIFEST) as file:
        data = file.read(_LARGEST_MANIFEST + 1)
    if len(data) > _LARGEST_MANIFEST:
        raise bad_export(place, "it is larger than any manifest")
    try:
        return parse(data.decode(), place)
    except UnicodeDecodeError as error:
        raise bad_export(place, "it is no text in UTF-8") from error


def verify(folder: Path, entries: Iterable[TableEntry]) -> None:
    """See that each file has the size and the hash that the manifest says.

    Raises:
        BadExport: one has not.
    """
    for entry in entries:
        for _ in blocks(folder, entry):
            pass


def blocks(folder: Path, entry: TableEntry) -> Iterator[bytes]:
    """What a table's file holds, piece by piece; the error comes, at the latest, after the last one.

    Raises:
        BadExport: it is not there, is no ordinary file, or has not the size or the hash that the manifest says.
    """
    path = folder / entry.file
    found = hashlib.sha256()
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.bytes:
            raise bad_export(str(path), f"it has {size:,} bytes, and the manifest says {entry.bytes:,}")
        left = entry.bytes
        while left and (block := file.read(min(CHUNK, left))):
            left -= len(block)
            found.update(block)
            yield block
    if left or found.hexdigest() != entry.sha256:
        raise bad_export(str(path), "it is not what was exported: its SHA-256 differs from the manifest's")


def _open(path: Path) -> IO[bytes]:
    """An ordinary file that lies here itself: a link could lead anywhere, and a pipe would never end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise bad_export(str(path), f"it cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise bad_export(str(path), "it is no ordinary file")
    return os.fdopen(handle, "rb")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
