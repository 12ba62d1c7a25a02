"""The folder of an export on disk: written whole or not at all, and never followed to elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dbschema.tools.tenants.errors import bad_export, folder_taken
from dbschema.tools.tenants.manifest import MANIFEST, Manifest, TableEntry, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
