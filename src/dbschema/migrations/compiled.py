"""Read the compiled SQL of revisions, so that an upgrade needs neither Alembic nor SQLAlchemy.

`compilation` writes the folder `compiled/` beside the revisions. The SQL is valid only for exactly the scripts that it was
compiled from: after any added, changed or removed file, Alembic runs all revisions. `compiled/manifest.json` lists the SQL of
each revision and the snapshot of the models (the expected catalog), with their hashes.
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
"""The version of the format. Increase it when the files are written or executed differently; other versions are ignored."""

MARK: Final = "-- dbschema: "
"""The beginning of the line before each statement, which sets its mode. No statement may contain such a line."""

IN_TRANSACTION: Final = "statement"
ALONE: Final = "statement outside of a transaction"


@dataclass(frozen=True)
class Statement:
    """One statement; if `alone`, it is executed outside a transaction, after a commit.

    Within a transaction, `sql` is exactly one statement, for executors that send one at a time. With `alone`, `sql` is the
    unchanged text of the revision.
    """

    sql: str
    alone: bool = False


@dataclass(frozen=True)
class CompiledRevision:
    """One revision of a compiled history.

    Args:
        revision: the id and title.
        path: the script.
        sql: the file with the statements, and the SHA-256 of that file; None if the revision needs Alembic.
    """

    revision: Revision
    path: Path
    sql: tuple[Path, str] | None

    def statements(self) -> tuple[Statement, ...] | None:
        """Return the statements of the upgrade, in order; None if it needs Alembic, or if the SQL file was changed."""
        if self.sql is None:
            return None
        path, digest = self.sql
        content = _read(path)
        if content is None or sha256(content).hexdigest() != digest:
            return None
        return parse(content.decode("utf-8"))


@dataclass(frozen=True)
class Compiled:
    """The compiled history of one folder, from the first revision to the last."""

    revisions: tuple[CompiledRevision, ...]

    def statements(self, ids: Iterable[str]) -> list[tuple[CompiledRevision, tuple[Statement, ...]]] | None:
        """Return the revisions `ids` with the statements of their upgrades; None if one of them needs Alembic."""
        by_id = {compiled.revision.id: compiled for compiled in self.revisions}
        plan = []
        for name in ids:
            statements = by_id[name].statements()
            if statements is None:
                return None
            plan.append((by_id[name], statements))
        return plan


@dataclass(frozen=True)
class StoredSnapshot:
    """The manifest entry of the snapshot.

    Args:
        path: the file of the snapshot.
        sha256: the SHA-256 of that file.
        server: the major version of the PostgreSQL server that printed it.
        models: the digest of the models, see `dbschema.catalog.snapshot`.
        sources: the digest of the source files of the models; None if the files are unknown (models of an application).
    """

    path: Path
    sha256: str
    server: int
    models: str
    sources: str | None

    def load(self) -> Snapshot | None:
        """Return the snapshot; None if the file does not have the SHA-256 of the manifest."""
        from dbschema.catalog import snapshot  # noqa: PLC0415  needed only after a run with steps

        content = _read(self.path)
        if content is None or sha256(content).hexdigest() != self.sha256:
            return None
        return snapshot.parse(content.decode("utf-8"))


def read_snapshot(location: Path) -> StoredSnapshot | None:
    """Return the snapshot beside the scripts; None without one, or if the manifest cannot be read.

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
        log.warning("%s cannot be read: ignoring the snapshot", folder / FOLDER / INDEX)
        return None


def read(location: Path) -> Compiled | None:
    """Return the compiled history beside the scripts in `location`; None without one, or if the scripts have changed since."""
    text = _read(location / FOLDER / INDEX)
    if text is None:
        return None
    try:
        index = json.loads(text)
        if index["revisions"] is None:
            return None
        if index["format"] != FORMAT or index["files"] != sources(location):
            log.info(
                "The compiled revisions in %s do not match its scripts: Alembic runs the revisions", location
            )
            return None
        return Compiled(tuple(_revision(location, entry) for entry in index["revisions"]))
    except (ValueError, LookupError, TypeError):
        log.warning("%s cannot be read: Alembic runs the revisions", location / FOLDER / INDEX)
        return None


def sources(location: Path) -> dict[str, str]:
    """Return the SHA-256 of `env.py` and of each revision file that Alembic loads, by name."""
    versions = location / "versions"
    names = [f"versions/{path.name}" for path in versions.iterdir() if is_revision(path.name)]
    return {name: sha256((location / name).read_bytes()).hexdigest() for name in ["env.py", *sorted(names)]}


def is_revision(name: str) -> bool:
    """Whether Alembic loads a file of this name in `versions/` as a revision."""
    return name.endswith(".py") and not name.startswith((".#", "__init__"))


def write(statements: Iterable[Statement]) -> str:
    """Format statements as the text of an SQL file.

    Raises:
        ValueError: a line of a statement begins with `MARK`.
    """
    lines = []
    for statement in statements:
        if f"\n{MARK}" in f"\n{statement.sql}":
            raise ValueError(f"a line begins with {MARK!r}")
        lines.append(f"{MARK}{ALONE if statement.alone else IN_TRANSACTION}\n{statement.sql}\n")
    return "".join(lines)


def parse(text: str) -> tuple[Statement, ...]:
    """Parse the text of an SQL file: the inverse of `write`."""
    statements = []
    for part in f"\n{text}".removesuffix("\n").split(f"\n{MARK}")[1:]:
        kind, _, sql = part.partition("\n")
        statements.append(Statement(sql, kind == ALONE))
    return tuple(statements)


def _revision(location: Path, entry: dict[str, Any]) -> CompiledRevision:
    sql = None if entry["sql"] is None else (location / FOLDER / entry["sql"], str(entry["sha256"]))
    return CompiledRevision(Revision(entry["id"], entry["doc"]), location / "versions" / entry["file"], sql)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
