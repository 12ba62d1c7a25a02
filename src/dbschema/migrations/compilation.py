"""Compile revisions to SQL, and store the SQL and the snapshot of the models beside the scripts (see `compiled`).

Alembic runs each revision without a database, like `alembic upgrade --sql`. The statements are recorded before Alembic formats
them as a script, which replaces tabs by spaces. pglast, which contains the parser of PostgreSQL, splits them into single
statements: it handles quotes, comments, rules and bodies without quotes (BEGIN ATOMIC … END) exactly as the server does.
Revisions that may do something else with a database are not compiled (see `compilable`).
"""

from __future__ import annotations

import ast
import json
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from typing import TYPE_CHECKING, Any

from sqlalchemy import TextClause, text
from sqlalchemy.schema import ExecutableDDLElement

from dbschema.errors import ExtraMissing, MigrationError
from dbschema.migrations import compilable, compiled
from dbschema.migrations.compiled import Statement
from dbschema.migrations.errors import BrokenScripts
from dbschema.migrations.location import script_folder
from dbschema.migrations.preflight import VERSION_TABLE
from dbschema.migrations.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alembic.runtime.migration import MigrationContext, MigrationStep

    from dbschema.catalog.snapshot import Snapshot


class NotParsed(ValueError):
    """The parser of PostgreSQL rejects the text. The message is that of the parser, with the line."""


def require() -> None:
    """Check that pglast is installed.

    Raises:
        ExtraMissing: pglast is not installed.
    """
    try:
        import pglast  # noqa: F401, PLC0415  an extra
    except ImportError as error:
        raise ExtraMissing("Compiling revisions needs pglast, which is not installed", "compile") from error


def split(sql: str) -> list[str]:
    """Split `sql` into statements. Removes semicolons, comments and whitespace between them.

    Raises:
        ExtraMissing: pglast is not installed.
        NotParsed: the parser rejects the text, for example a command of psql.
    """
    require()
    import pglast  # noqa: PLC0415  an extra

    try:
        return [statement.strip() for statement in pglast.split(sql)]
    except pglast.parser.ParseError as error:
        message, position = error.args
        line = sql.count("\n", 0, position) + 1
        raise NotParsed(f"{message} (line {line})") from error


@dataclass(frozen=True)
class Taken:
    """A snapshot to write.

    Args:
        snapshot: the expected catalog of the models.
        sources: the digest of the source files of the models; None if the files are unknown (models of an application).
    """

    snapshot: Snapshot
    sources: str | None = None


def write(location: Path, taken: Taken | None = None) -> list[str]:
    """Compile the revisions of `location` into its folder `compiled`. Return the names of the files that changed.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`. For an ini file only the
            snapshot is written: Alembic runs its revisions.
        taken: the snapshot to write; None: keep the stored snapshot.

    Raises:
        BrokenScripts: the scripts cannot be loaded, or a branch has several heads.
        MigrationError: `env.py` does more than call `alembic_env.run(context, metadata)`.
        ExtraMissing: pglast is not installed.
    """
    folder = _folder(location) / compiled.FOLDER
    expected, actual = files(location, taken), _stored(folder)
    folder.mkdir(exist_ok=True)
    for name in actual.keys() - expected.keys():
        (folder / name).unlink()
    for name, content in expected.items():
        if actual.get(name) != content:
            (folder / name).write_bytes(content)
    return _different(expected, actual)


def check(location: Path, taken: Taken | None = None) -> list[str]:
    """Return the names of the files that `write` would change. Raises the errors of `write`.

    A server of another major version may print the same models differently. So a stored snapshot of another version is up to
    date if it has the digests of the same models.
    """
    stored = compiled.read_snapshot(location)
    if (
        taken is not None
        and stored is not None
        and stored.server != taken.snapshot.server
        and (stored.models, stored.sources) == (taken.snapshot.models, taken.sources)
        and stored.load() is not None
    ):
        taken = None
    return _different(files(location, taken), _stored(_folder(location) / compiled.FOLDER))


def files(location: Path, taken: Taken | None = None) -> dict[str, bytes]:
    """Return the content of the files of the folder `compiled`, by name. See `write`."""
    result, manifest = _snapshot(location, taken)
    if location.is_file():
        manifest |= {"files": {}, "revisions": None}
    else:
        revisions, compiled_files = _revisions(location)
        manifest |= {"files": compiled.sources(location), "revisions": revisions}
        result |= compiled_files
    result[compiled.INDEX] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
    return result


def _folder(location: Path) -> Path:
    folder = script_folder(location)
    if folder is None:
        raise BrokenScripts(location, "it has no script_location")
    return folder


def _snapshot(location: Path, taken: Taken | None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the file of the snapshot, and the beginning of the manifest, which describes it."""
    if taken is not None:
        text = taken.snapshot.to_json().encode()
        server, models, sources = taken.snapshot.server, taken.snapshot.models, taken.sources
    else:
        stored = compiled.read_snapshot(location)
        if stored is None or stored.load() is None:
            return {}, {"format": compiled.FORMAT, "snapshot": None}
        text = stored.path.read_bytes()
        server, models, sources = stored.server, stored.models, stored.sources
    entry = {
        "file": compiled.SNAPSHOT,
        "sha256": sha256(text).hexdigest(),
        "server": server,
        "models": models,
        "sources": sources,
    }
    return {compiled.SNAPSHOT: text}, {"format": compiled.FORMAT, "snapshot": entry}


def _revisions(location: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return the manifest entries of the revisions, and the files with their SQL."""
    require()
    _check_environment(location)
    scripts = Scripts(location)
    paths = {revision.id: path for revision, path in zip(scripts.revisions, scripts.paths, strict=True)}
    reasons = {
        name: compilable.not_compilable_reason(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
    }
    rendered = _render(scripts, reasons)
    result: dict[str, bytes] = {}
    revisions = []
    for revision in scripts.revisions:
        path, reason = paths[revision.id], reasons[revision.id]
        entry: dict[str, Any] = {"id": revision.id, "doc": revision.doc, "file": path.name, "sql": None}
        if reason is None:
            name = f"{path.stem}.sql"
            result[name] = compiled.write(rendered[revision.id]).encode()
            entry |= {"sql": name, "sha256": sha256(result[name]).hexdigest()}
        else:
            entry["by_alembic"] = reason
        revisions.append(entry)
    return revisions, result


def _stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def _different(expected: dict[str, bytes], actual: dict[str, bytes]) -> list[str]:
    names = expected.keys() | actual.keys()
    return sorted(name for name in names if expected.get(name) != actual.get(name))


def _check_environment(location: Path) -> None:
    """Check that `env.py` does nothing on a connection that a compiled upgrade would not do."""
    tree = ast.parse((location / "env.py").read_text(encoding="utf-8"))
    calls = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            raise _cannot_compile(location, f"line {node.lineno} of env.py may change the run")
        calls.append(node.value)
    if [ast.unparse(call.func) for call in calls] != ["alembic_env.run"] or (
        # The argument `compare` does not affect the statements of a revision.
        len(calls[0].args) != 2 or {keyword.arg for keyword in calls[0].keywords} - {"compare"}
    ):
        raise _cannot_compile(location, "env.py does more than call alembic_env.run(context, metadata)")


def _cannot_compile(location: Path, reason: str) -> MigrationError:
    """The `env.py` of a folder does something that a compiled upgrade cannot repeat."""
    return MigrationError(
        f"The revisions in {location} cannot be compiled: {reason}",
        "Let Alembic run them, as it does without compiled SQL",
    )


def _render(scripts: Scripts, reasons: dict[str, str | None]) -> dict[str, list[Statement]]:
    """Return the statements of each compilable revision. Adds to `reasons` the revisions that fail or bind values."""
    rendered: dict[str, list[Statement]] = {}

    def steps(_heads: Any, context: MigrationContext) -> Iterator[MigrationStep]:
        if context.version_table != VERSION_TABLE or context.version_table_schema is not None:
            raise _cannot_compile(scripts.location, "the version table has another name or schema")
        for revision in scripts.revisions:
            step = scripts.step("upgrade", revision)
            recorder = _Recorder(context)
            plain, skip = step.migration_fn, reasons[revision.id] is not None

            def record(  # defaults bind the values of this iteration
                revision: str = revision.id,
                plain: Callable[..., None] = plain,
                recorder: _Recorder = recorder,
                *,
                skip: bool = skip,
                **arguments: Any,
            ) -> None:
                if skip:
                    return
                with recorder.recording():
                    try:
                        plain(**arguments)
                    except Exception as error:
                        recorder.reason = f"without a database it fails with {type(error).__name__}"
                if recorder.reason is None:
                    rendered[revision] = recorder.statements
                else:
                    reasons[revision] = recorder.reason

            step.migration_fn = record
            yield step

    if scripts.revisions:
        scripts.run(steps, output=StringIO(), as_sql=True, starting_rev="base")
    return rendered


class _Recorder:
    """Records the statements of one revision, as the text for the server.

    Args:
        context: Alembic's context, in offline mode.
    """

    def __init__(self, context: MigrationContext) -> None:
        self._impl = context.impl
        self.statements: list[Statement] = []
        self.reason: str | None = None
        self._alone = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the statements that Alembic executes in the `with` block."""
        own = {"_exec": self._exec, "emit_begin": self._emit_begin, "emit_commit": self._emit_commit}
        vars(self._impl).update(own)
        try:
            yield
        finally:
            for name in own:
                del vars(self._impl)[name]

    def _emit_commit(self) -> None:
        self._alone = True

    def _emit_begin(self) -> None:
        self._alone = False

    def _exec(self, construct: Any, *others: Any, **options: Any) -> None:
        clause = text(construct) if isinstance(construct, str) else construct
        if isinstance(clause, TextClause):
            if clause.compile().params:
                self.reason = "it binds values to a statement"
        elif not isinstance(clause, ExecutableDDLElement):
            self.reason = f"it executes {type(clause).__name__}, which may bind values"
        if any(others) or any(options.values()):
            self.reason = "it executes with options or values"
        literal = {} if isinstance(clause, ExecutableDDLElement) else {"literal_binds": True}
        sql = str(clause.compile(dialect=self._impl.dialect, compile_kwargs=literal))
        if self._alone:
            # Do not split: the server executes several statements in one message as one transaction, as with Alembic.
            self.statements.append(Statement(sql, self._alone))
        elif self.reason is None:
            try:
                self.statements += map(Statement, split(sql))
            except NotParsed as error:
                self.reason = f"PostgreSQL's parser rejects it: {error}"
