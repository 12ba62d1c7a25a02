"""SQL split into single statements by PostgreSQL's own parser, while revisions are compiled.

pglast carries the parser of the server, so that quotes, comments, rules and bodies without quotes (BEGIN ATOMIC … END)
end where the server ends them. Only compiling needs it: compiled files hold single statements.

Writes the SQL of revisions and the snapshot of the models beside them: see `compiled` for how they are used.

Each revision is run by Alembic without a database, as `alembic upgrade --sql` runs it, and its statements are taken as
they are, before Alembic makes a script of them (which turns tabs into blanks). One that may do something else online is
left to Alembic: `plainness` tells which. `dbschema compile` calls this for the revisions of this package or an application.
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
    """PostgreSQL's parser rejects the text; the message is the parser's, with the line."""


def require() -> None:
    """Raise if statements cannot be split here.

    Raises:
        ExtraMissing: pglast is not installed.
    """
    try:
        import pglast  # noqa: F401, PLC0415  an extra
    except ImportError as error:
        raise ExtraMissing("Compiling revisions needs pglast, which is not installed", "compile") from error


def split(sql: str) -> list[str]:
    """Split `sql` into its statements, without the semicolons; comments and blanks between them are left out.

    Raises:
        ExtraMissing: pglast is not installed.
        NotParsed: the parser rejects it, as it does with commands of psql.
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
    """A snapshot to be written.

    Args:
        snapshot: what the models want.
        sources: digest of the files of the models; None if the files are not known (models of an application).
    """

    snapshot: Snapshot
    sources: str | None = None


def write(location: Path, taken: Taken | None = None) -> list[str]:
    """Compile the revisions in `location` into its folder `compiled`; what changed, by name.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`: its revisions are run by
            Alembic, and only the snapshot is written.
        taken: the snapshot to write; None: the one that is there stays.

    Raises:
        BrokenScripts: they cannot be loaded, or are not one line.
        MigrationError: `env.py` does more than to call `alembic_env.run(context, metadata)`, or pglast is not installed.
    """
    folder = _folder(location) / compiled.FOLDER
    wanted, found = files(location, taken), _present(folder)
    folder.mkdir(exist_ok=True)
    for name in found.keys() - wanted.keys():
        (folder / name).unlink()
    for name, content in wanted.items():
        if found.get(name) != content:
            (folder / name).write_bytes(content)
    return _different(wanted, found)


def check(location: Path, taken: Taken | None = None) -> list[str]:
    """The names of the files that `write` would change. Errors as `write`.

    A server of another major version may print the same models otherwise: a snapshot of it that is of the same models
    counts as fresh.
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
    return _different(files(location, taken), _present(_folder(location) / compiled.FOLDER))


def files(location: Path, taken: Taken | None = None) -> dict[str, bytes]:
    """The files of the folder `compiled`, by name; the arguments are those of `write`."""
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
        raise BrokenScripts(location, "it names no script_location")
    return folder


def _snapshot(location: Path, taken: Taken | None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The file of the snapshot, and the beginning of the manifest, which says what it is."""
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
    """What the manifest says of each revision, and the files with their SQL."""
    require()
    _check_environment(location)
    scripts = Scripts(location)
    paths = {one.id: path for one, path in zip(scripts.revisions, scripts.paths, strict=True)}
    reasons = {
        name: compilable.not_compilable_reason(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
    }
    rendered = _render(scripts, reasons)
    result: dict[str, bytes] = {}
    revisions = []
    for one in scripts.revisions:
        path, reason = paths[one.id], reasons[one.id]
        entry: dict[str, Any] = {"id": one.id, "doc": one.doc, "file": path.name, "sql": None}
        if reason is None:
            name = f"{path.stem}.sql"
            result[name] = compiled.write(rendered[one.id]).encode()
            entry |= {"sql": name, "sha256": sha256(result[name]).hexdigest()}
        else:
            entry["by_alembic"] = reason
        revisions.append(entry)
    return revisions, result


def _present(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def _different(wanted: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _check_environment(location: Path) -> None:
    """Raise where `env.py` does, on a connection, what a compiled upgrade would not."""
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
            raise _cannot_compile(location, f"line {node.lineno} of env.py may decide what is done")
        calls.append(node.value)
    if [ast.unparse(call.func) for call in calls] != ["alembic_env.run"] or (
        # Whether Alembic's own runs are compared changes nothing that a revision does.
        len(calls[0].args) != 2 or {keyword.arg for keyword in calls[0].keywords} - {"compare"}
    ):
        raise _cannot_compile(location, "env.py does more than to call alembic_env.run(context, metadata)")


def _cannot_compile(location: Path, reason: str) -> MigrationError:
    """The environment of a folder does more than a compiled upgrade could repeat."""
    return MigrationError(
        f"The revisions in {location} cannot be compiled: {reason}",
        "Let Alembic run them, as it does without compiled SQL",
    )


def _render(scripts: Scripts, reasons: dict[str, str | None]) -> dict[str, list[Statement]]:
    """The statements of each revision that has no reason yet; a new reason for one that turns out to bind values."""
    rendered: dict[str, list[Statement]] = {}

    def steps(_heads: Any, context: MigrationContext) -> Iterator[MigrationStep]:
        if context.version_table != VERSION_TABLE or context.version_table_schema is not None:
            raise _cannot_compile(scripts.location, "the version table has another name or schema")
        for revision in scripts.revisions:
            step = scripts.step("upgrade", revision)
            recorder = _Recorder(context)
            plain, skip = step.migration_fn, reasons[revision.id] is not None

            def record(  # the values of this round, not of the last
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
    """Keeps what one revision executes, as text that reaches the server unchanged.

    Args:
        context: Alembic's, offline.
    """

    def __init__(self, context: MigrationContext) -> None:
        self._impl = context.impl
        self.statements: list[Statement] = []
        self.reason: str | None = None
        self._alone = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within this block, Alembic executes into `statements`."""
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
            # Several statements in one message are one transaction of the server's, here as by Alembic.
            self.statements.append(Statement(sql, self._alone))
        elif self.reason is None:
            try:
                self.statements += map(Statement, split(sql))
            except NotParsed as error:
                self.reason = f"PostgreSQL's parser rejects it: {error}"
