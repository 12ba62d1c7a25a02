"""The SQL of revisions as it was compiled beforehand, by which an upgrade needs neither Alembic nor SQLAlchemy.

It lies beside the revisions, in `compiled/`, and counts only while the folder holds exactly the files that it was made
of: whatever was added, changed or removed since, and everything goes by Alembic again. `compilation` writes it.

`compiled/manifest.json` names everything in that folder with its hash: the SQL of each revision, and the snapshot of the
catalog that the models want.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dbschema.migrations.location import script_folder
from dbschema.migrations.revisions import Revision

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dbschema.catalog.snapshot import Snapshot

log: Final = logging.getLogger("dbschema.migrations")

FOLDER: Final = "compiled"
INDEX: Final = "manifest.json"
SNAPSHOT: Final = "snapshot.json"
FORMAT: Final = 2
"""Raised when the files are written or executed in another way: older ones then do not count any more."""

MARK: Final = "-- dbschema: "
"""Begins the line before each statement, which says how it is executed. No statement may hold such a line."""

IN_TRANSACTION: Final = "statement"
ALONE: Final = "statement outside of a transaction"


@dataclass(frozen=True)
class Statement:
    """One statement; `alone` is outside of a transaction, after what came before it was committed.

    Within a transaction `sql` is exactly one statement, for executors that send one at a time. One that is `alone` is
    sent as the revision has it.
    """

    sql: str
    alone: bool = False


@dataclass(frozen=True)
class CompiledRevision:
    """One revision of a compiled history.

    Args:
        revision: its id and title.
        path: its file.
        sql: the file with its statements, and that file's SHA-256; None where it needs Alembic.
    """

    revision: Revision
    path: Path
    sql: tuple[Path, str] | None

    def statements(self) -> tuple[Statement, ...] | None:
        """What the upgrade executes, in its order; None where it needs Alembic, or its SQL is not what was compiled."""
        if self.sql is None:
            return None
        path, digest = self.sql
        found = _read(path)
        if found is None or sha256(found).hexdigest() != digest:
            return None
        return parse(found.decode("utf-8"))


@dataclass(frozen=True)
class Compiled:
    """The compiled history of one folder, from the first revision to the last."""

    revisions: tuple[CompiledRevision, ...]

    def statements(self, ids: Iterable[str]) -> list[tuple[CompiledRevision, tuple[Statement, ...]]] | None:
        """What the upgrades of `ids` execute; None where one of them needs Alembic."""
        known = {one.revision.id: one for one in self.revisions}
        found = []
        for name in ids:
            statements = known[name].statements()
            if statements is None:
                return None
            found.append((known[name], statements))
        return found


@dataclass(frozen=True)
class StoredSnapshot:
    """What the manifest says of the snapshot beside it.

    Args:
        path: its file.
        sha256: of that file.
        server: major version of the PostgreSQL server that it was made on.
        models: digest of the models, see `dbschema.catalog.snapshot`.
        sources: digest of the files of these models; None if the files are not known (models of an application).
    """

    path: Path
    sha256: str
    server: int
    models: str
    sources: str | None

    def load(self) -> Snapshot | None:
        """The snapshot; None if the file is not the one of the manifest."""
        from dbschema.catalog import snapshot  # noqa: PLC0415  needed after a run that did something

        found = _read(self.path)
        if found is None or sha256(found).hexdigest() != self.sha256:
            return None
        return snapshot.parse(found.decode("utf-8"))


def read_snapshot(location: Path) -> StoredSnapshot | None:
    """The snapshot beside the scripts; None if there is none, or the manifest cannot be read.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`.
    """
    folder = script_folder(location)
    text = None if folder is None else _read(folder / FOLDER / INDEX)
    if folder is None or text is None:
        return None
    try:
        manifest = json.loads(text)
        entry = manifest["snapshot"]
        if manifest["format"] != FORMAT or entry is None:
            return None
        return StoredSnapshot(
            folder / FOLDER / entry["file"],
            str(entry["sha256"]),
            int(entry["server"]),
            str(entry["models"]),
            entry["sources"],
        )
    except (ValueError, LookupError, TypeError):
        log.warning("%s cannot be read: there is no snapshot", folder / FOLDER / INDEX)
        return None


def read(location: Path) -> Compiled | None:
    """The compiled history beside the scripts in `location`; None where there is none, or it is not that of these scripts."""
    text = _read(location / FOLDER / INDEX)
    if text is None:
        return None
    try:
        index = json.loads(text)
        if index["revisions"] is None:
            return None
        if index["format"] != FORMAT or index["files"] != sources(location):
            log.info("The compiled revisions in %s are not those of its scripts: Alembic runs them", location)
            return None
        return Compiled(tuple(_revision(location, entry) for entry in index["revisions"]))
    except (ValueError, LookupError, TypeError):
        log.warning("%s cannot be read: Alembic runs the revisions", location / FOLDER / INDEX)
        return None


def sources(location: Path) -> dict[str, str]:
    """The files that decide what the revisions do, with their SHA-256: `env.py`, and each that Alembic would load."""
    versions = location / "versions"
    names = [f"versions/{path.name}" for path in versions.iterdir() if is_revision(path.name)]
    return {name: sha256((location / name).read_bytes()).hexdigest() for name in ["env.py", *sorted(names)]}


def is_revision(name: str) -> bool:
    """Whether Alembic takes a file of that name in `versions/` for a revision."""
    return name.endswith(".py") and not name.startswith((".#", "__init__"))


def write(statements: Iterable[Statement]) -> str:
    """The text of a file with these statements.

    Raises:
        ValueError: one of them holds a line that begins as those between them.
    """
    lines = []
    for one in statements:
        if f"\n{MARK}" in f"\n{one.sql}":
            raise ValueError(f"a line begins with {MARK!r}")
        lines.append(f"{MARK}{ALONE if one.alone else IN_TRANSACTION}\n{one.sql}\n")
    return "".join(lines)


def parse(text: str) -> tuple[Statement, ...]:
    """The statements in the text of a file."""
    found = []
    for part in f"\n{text}".removesuffix("\n").split(f"\n{MARK}")[1:]:
        kind, _, sql = part.partition("\n")
        found.append(Statement(sql, kind == ALONE))
    return tuple(found)


def _revision(location: Path, entry: dict[str, Any]) -> CompiledRevision:
    sql = None if entry["sql"] is None else (location / FOLDER / entry["sql"], str(entry["sha256"]))
    return CompiledRevision(Revision(entry["id"], entry["doc"]), location / "versions" / entry["file"], sql)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
