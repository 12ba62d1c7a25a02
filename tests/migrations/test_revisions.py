"""The revisions build exactly what the models declare, by every way, and take it away again."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

from dbschema.catalog import Catalog, found
from dbschema.migrations.location import script_location
from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini")))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]
FILES = [Path(script.path) for script in SCRIPTS.walk_revisions()]

# Everything that a user can make in a database, but for Alembic's own table, which stays.
LEFT_BEHIND = """
SELECT 'relation ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_|^information_schema$' AND c.relname NOT IN ('alembic_version', 'alembic_version_pkc')
UNION ALL SELECT 'function ' || p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
UNION ALL SELECT 'type ' || t.typname FROM pg_type t
WHERE t.typnamespace = 'public'::regnamespace AND t.typname !~ '^_?alembic_version$'
UNION ALL SELECT 'extension ' || e.extname FROM pg_extension e WHERE e.extname <> 'plpgsql'
UNION ALL SELECT 'schema ' || n.nspname FROM pg_namespace n WHERE n.nspname !~ '^pg_|^information_schema$|^public$'
UNION ALL SELECT 'privilege of ' || x.grantee::regrole FROM pg_namespace n, aclexplode(n.nspacl) x
WHERE n.nspname = 'public' AND x.grantee <> 0 AND x.grantee::regrole <> 'pg_database_owner'::regrole
UNION ALL SELECT 'default privileges' FROM pg_default_acl
UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
"""


def config(url: str, **attributes: object) -> Config:
    return Config(
        str(ROOT / "alembic.ini"),
        attributes={"url": url, **attributes},
        output_buffer=io.StringIO(),
        stdout=io.StringIO(),
    )


def connected(url: str) -> Connection:
    return create_engine(url, poolclass=NullPool).connect()


def catalog(url: str) -> Catalog:
    with connected(url) as connection:
        return found(connection, metadata, positions=True)


def psql(url: str, script: str) -> None:
    subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", "-", re.sub(r"\+psycopg", "", url)],
        input=script.encode(),
        check=True,
        capture_output=True,
    )


def offline(run: Callable[..., None], url: str, revision: str) -> str:
    settings = config("postgresql://nobody@127.0.0.1:1/nothing")
    run(settings, revision, sql=True)
    script = settings.output_buffer.getvalue()
    psql(url, script)
    return script


def by_upgrade(url: str) -> None:
    command.upgrade(config(url), "head")


def by_create_all(url: str) -> None:
    with connected(url) as connection, connection.begin():
        metadata.create_all(connection)
    command.stamp(config(url), "head")


def by_sql(url: str) -> None:
    offline(command.upgrade, url, "head")


WAYS = {"upgrade": by_upgrade, "create_all": by_create_all, "sql": by_sql}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_build_gives_the_same_database(way: str, database: str, fresh_database: str) -> None:
    """Object by object, with the positions of columns; `alembic check` agrees."""
    WAYS[way](fresh_database)

    built, expected = catalog(fresh_database), catalog(database)
    assert built.entries == expected.entries
    assert len(built.of("table")) == len(metadata.tables)
    command.check(config(fresh_database))


@pytest.mark.parametrize("way", ["online", "sql"])
def test_downgrade_leaves_an_empty_database(way: str, database: str) -> None:
    if way == "online":
        command.downgrade(config(database), "base")
    else:
        offline(command.downgrade, database, "head:base")

    with connected(database) as connection:
        assert connection.scalars(text(LEFT_BEHIND)).all() == []
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == []


def test_each_revision_goes_down_and_up_again_to_the_same_database(fresh_database: str) -> None:
    settings = config(fresh_database)
    for revision in REVISIONS:
        command.upgrade(settings, revision)
        first = catalog(fresh_database)

        command.downgrade(settings, "-1")
        command.upgrade(settings, revision)

        assert catalog(fresh_database).entries == first.entries


def test_a_given_connection_is_migrated(fresh_database: str) -> None:
    with connected(fresh_database) as connection:
        command.upgrade(config("", connection=connection), "head")
        command.check(config("", connection=connection))


def test_an_upgrade_imports_no_models(fresh_database: str) -> None:
    """They cost more time than the SQL, and an old revision must not depend on what they are today."""
    program = (
        "import sys\n"
        "from alembic.config import main\n"
        "main(['-x', f'url={sys.argv[1]}', 'upgrade', 'head'])\n"
        "main(['-x', f'url={sys.argv[1]}', 'downgrade', '-1'])\n"
        "print(sorted(name for name in sys.modules if name.startswith(('dbschema.models', 'dbschema.base'))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, fresh_database],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def test_alembic_works_from_the_root_of_the_repository(database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "current"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [SCRIPTS.get_current_head(), "(head)"]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generator", ROOT / "scripts" / "regenerate_first_revision.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_revision_is_what_autogenerate_writes(
    generator: ModuleType, fresh_database: str, tmp_path: Path
) -> None:
    """No line was edited by hand; `ruff format` aside. Until the first release: then the models go on without it."""
    committed = generator.first_revision()
    assert committed is not None

    written = generator.generate(fresh_database, tmp_path, REVISIONS[0])

    def without_date(path: Path) -> str:
        return str(generator.DATE.sub("", path.read_text(encoding="utf-8")))

    assert without_date(written) == without_date(committed)
    assert written.name.partition("_create_")[2] == committed.name.partition("_create_")[2]


def test_the_history_is_one_line() -> None:
    assert len(SCRIPTS.get_heads()) == 1
    assert len(SCRIPTS.get_bases()) == 1
    assert not [
        script for script in SCRIPTS.walk_revisions() if script.is_merge_point or script.is_branch_point
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_revision_is_named_by_date_and_slug(path: Path) -> None:
    assert re.fullmatch(r"20\d{6}_\d{4}_[a-z0-9_]+", path.stem)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_revision_imports_nothing_of_this_package(path: Path) -> None:
    """The package goes on changing; the revision does not."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")

    assert not [name for name in modules if name.partition(".")[0] == "dbschema"]


def test_the_scripts_are_found() -> None:
    assert (script_location() / "script.py.mako").is_file()
    assert [path.name for path in sorted((script_location() / "versions").glob("*.py"))] == sorted(
        path.name for path in FILES
    )
