"""What the models want is known beforehand: a database that has it is recognised without them, and no other one is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Column, Integer, MetaData, Table

from dbschema.catalog import snapshot
from dbschema.migrations import compiled, location
from dbschema.migrations.location import script_location
from dbschema.models import metadata
from dbschema.tools import application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from dbschema.catalog.snapshot import Snapshot

DRIFTS = [
    "DROP INDEX idx_orders_status",
    "ALTER TABLE orders DISABLE TRIGGER ALL",
    "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY tenant_isolation ON orders",
    "CREATE POLICY everybody ON orders USING (true)",
    "REVOKE SELECT ON orders FROM dbschema_app",
    "GRANT SELECT ON orders TO PUBLIC",
    "CREATE TABLE another (id int)",
    "CREATE VIEW seen AS SELECT 1 AS one",
    "COMMENT ON TABLE orders IS 'otherwise'",
    "ALTER TABLE orders ADD CONSTRAINT more CHECK (true) NOT VALID",
    "ALTER FUNCTION search_documents OWNER TO CURRENT_USER",
    "ALTER ROLE dbschema_app BYPASSRLS",
    "DROP EXTENSION btree_gin CASCADE",
]


@pytest.fixture
def session(database: str) -> Iterator[psycopg.Connection]:
    """A psycopg connection to a migrated database."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        yield connection
        connection.rollback()


def stored() -> Snapshot:
    entry = compiled.read_snapshot(script_location())
    assert entry is not None
    found = entry.load()
    assert found is not None
    return found


def test_the_file_is_what_the_models_want(connection: Connection) -> None:
    """Otherwise: make compile. A server of another major version may print the objects otherwise, but not others."""
    taken = snapshot.take(connection, metadata)

    assert stored().models == taken.models
    assert stored().expected.entries.keys() == taken.expected.entries.keys()
    if stored().server == taken.server:
        assert stored() == replace(taken, expected=stored().expected)
        assert stored().expected.entries == taken.expected.entries


def test_the_manifest_is_that_of_the_sources_of_today() -> None:
    """Otherwise: make compile."""
    entry = compiled.read_snapshot(script_location())

    assert entry is not None
    assert entry.sources == snapshot.digest_of_files(application.sources())
    assert (entry.server, entry.models) == (stored().server, stored().models)


def test_a_snapshot_is_read_as_it_was_written(connection: Connection) -> None:
    taken = snapshot.take(connection, metadata)

    found = snapshot.parse(taken.to_json())

    assert found is not None
    assert found.expected.entries == taken.expected.entries
    assert replace(found, expected=taken.expected) == taken


def test_a_migrated_database_is_recognised_and_left_as_it_was(session: psycopg.Connection) -> None:
    session.execute("SET LOCAL work_mem = '5MB'")

    assert application.is_known_to_hold(session)

    assert session.info.transaction_status == TransactionStatus.INTRANS
    assert session.execute("SHOW work_mem").fetchone() == ("5MB",)


@pytest.mark.parametrize("drift", DRIFTS)
def test_one_that_differs_is_not(session: psycopg.Connection, drift: str) -> None:
    session.execute(drift)

    assert not application.is_known_to_hold(session)


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compiled files of the package, to be damaged."""
    folder = tmp_path / "scripts"
    shutil.copytree(script_location() / compiled.FOLDER, folder / compiled.FOLDER)
    monkeypatch.setattr(location, "script_location", lambda: folder)
    return folder


def changed(**values: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **values})


def changed_entry(**values: Any) -> Callable[[str], str]:
    def change(text: str) -> str:
        manifest = json.loads(text)
        return json.dumps({**manifest, "snapshot": {**manifest["snapshot"], **values}})

    return change


@pytest.mark.parametrize(
    "damage",
    [
        changed(format=0),
        changed(snapshot=None),
        changed(snapshot="another"),
        changed_entry(sources="of other models"),
        changed_entry(sources=None),
        changed_entry(sha256="of another file"),
        changed_entry(file="missing.json"),
        lambda text: text[:-100],
        lambda _: "[]",
        lambda _: "",
    ],
    ids=[
        "format",
        "none",
        "a word",
        "sources",
        "no sources",
        "hash",
        "missing",
        "cut off",
        "a list",
        "empty",
    ],
)
def test_a_manifest_of_something_else_tells_nothing(
    session: psycopg.Connection, scripts: Path, damage: Callable[[str], str]
) -> None:
    assert application.is_known_to_hold(session)
    file = scripts / compiled.FOLDER / compiled.INDEX
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")

    assert not application.is_known_to_hold(session)


@pytest.mark.parametrize(
    "damage",
    [
        changed(format=0),
        changed(entries=[["table"]]),
        changed(entries=None),
        lambda text: text[:-100],
        lambda _: "[]",
        lambda _: "",
    ],
    ids=["format", "half an entry", "none", "cut off", "a list", "empty"],
)
def test_a_file_that_is_no_snapshot_tells_nothing(
    session: psycopg.Connection, scripts: Path, damage: Callable[[str], str]
) -> None:
    file = scripts / compiled.FOLDER / compiled.SNAPSHOT
    text = damage(file.read_text(encoding="utf-8"))
    assert snapshot.parse(text) is None
    file.write_text(text, encoding="utf-8")

    assert not application.is_known_to_hold(session)


def test_a_snapshot_is_of_its_models_alone() -> None:
    own = MetaData()
    Table("t", own, Column("n", Integer))

    assert application.load_snapshot(None, metadata) == stored()
    assert application.load_snapshot(None, own) is None


def test_each_module_that_the_models_use_counts() -> None:
    """One that did not count would have an old catalog pass for what the models want now."""
    program = (
        "import sys, dbschema.models\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('dbschema.')), sep='\\n')"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    counted = {str(path) for path in application.sources()}
    uncounted = {path for path in done.stdout.splitlines() if path not in counted}
    assert uncounted <= {str(Path(application.__file__).parents[1] / "errors.py")}


def test_an_upgrade_of_an_empty_database_imports_neither_sqlalchemy_nor_the_models(
    fresh_database: str,
) -> None:
    program = (
        "import sys\n"
        "from dbschema.tools.cli import main\n"
        "sys.argv[1:1] = ['upgrade', '--url']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(*sorted({n.partition('.')[0] for n in sys.modules} & {'sqlalchemy', 'alembic'}), file=sys.stderr)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, fresh_database], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == ""
