"""dbschema compile: the SQL of revisions and the snapshot of models, ours and an application's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from dbschema.migrations import compiled
from dbschema.migrations.location import script_location

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_tables"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the revisions of this package that is not compiled."""
    return Path(
        shutil.copytree(
            script_location(),
            tmp_path / "scripts",
            ignore=shutil.ignore_patterns(compiled.FOLDER, "__pycache__"),
        )
    )


@pytest.fixture
def compile_(run: Run, database: str, scripts: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(
            "compile", "--scripts", str(scripts), "--models", "dbschema.models", "--url", database, *arguments
        )

    return call


def test_the_files_of_the_package_are_fresh(run: Run, database: str) -> None:
    done = run("compile", "--check", "--url", database)

    assert done.returncode == 0, done
    assert "Everything is fresh." in done.stdout


def test_the_manifest_names_each_file_and_nothing_else_is_there(
    compile_: Callable[..., subprocess.CompletedProcess[str]], scripts: Path
) -> None:
    before = compile_("--check", "--json")
    assert (before.returncode, (scripts / compiled.FOLDER).exists()) == (1, False)

    done = compile_("--json")

    assert done.returncode == 0
    folder = scripts / compiled.FOLDER
    manifest = json.loads((folder / compiled.INDEX).read_text())
    named = {manifest["snapshot"]["file"], *(one["sql"] for one in manifest["revisions"]), compiled.INDEX}
    assert named == {path.name for path in folder.iterdir()} == set(json.loads(done.stdout)["files"])
    assert compiled.read(scripts) is not None
    assert compile_("--check").returncode == 0


@pytest.mark.parametrize("name", [compiled.INDEX, compiled.SNAPSHOT])
def test_a_file_that_was_changed_is_not_fresh(
    compile_: Callable[..., subprocess.CompletedProcess[str]], scripts: Path, name: str
) -> None:
    compile_()
    file = scripts / compiled.FOLDER / name
    text = file.read_text()
    file.write_text(text.replace("1", "2"))

    assert compile_("--check").returncode == 1
    assert file.read_text() != text

    compile_()
    assert file.read_text() == text


def test_a_snapshot_of_another_server_counts_while_the_models_are_the_same(
    compile_: Callable[..., subprocess.CompletedProcess[str]], scripts: Path
) -> None:
    compile_()
    folder = scripts / compiled.FOLDER
    entry = compiled.read_snapshot(scripts)
    assert entry is not None
    manifest = json.loads((folder / compiled.INDEX).read_text())
    manifest["snapshot"]["server"] = 9
    (folder / compiled.INDEX).write_text(json.dumps(manifest, indent=1) + "\n")

    assert compile_("--check").returncode == 0

    manifest["snapshot"]["models"] = "others"
    (folder / compiled.INDEX).write_text(json.dumps(manifest, indent=1) + "\n")
    assert compile_("--check").returncode == 1


def test_a_role_that_may_not_build_is_told_which_right_it_needs(
    run: Run, database: str, scripts: Path
) -> None:
    role = f"role_{uuid4().hex[:12]}"
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'")
    url = make_url(database).set(username=role, password="plain").render_as_string(hide_password=False)

    done = run("compile", "--scripts", str(scripts), "--models", "dbschema.models", "--url", url)

    assert done.returncode == 2
    assert "GRANT CREATE ON DATABASE" in done.stderr
    assert not (scripts / compiled.FOLDER).exists()


def test_the_models_of_an_application_have_to_be_named(run: Run, database: str, scripts: Path) -> None:
    done = run("compile", "--scripts", str(scripts), "--url", database)

    assert done.returncode == 2
    assert "--models" in done.stderr


def test_an_application_with_an_alembic_ini_is_verified_by_its_snapshot(
    database: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Its revisions stay with Alembic; a role without CREATE is answered from the snapshot beside them."""
    shop = tmp_path / "shop"
    shutil.copytree(EXAMPLE, shop, ignore=shutil.ignore_patterns("__pycache__", ".*"))

    def program(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"DBSCHEMA_SCRIPT_LOCATION": "alembic.ini", "DBSCHEMA_MODELS": "shop.models"}
        return subprocess.run(
            [sys.executable, "-m", "dbschema", *arguments, "--url", url],
            cwd=shop,
            env={**environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )

    upgraded = program(database, "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    done = program(database, "compile")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (shop / "migrations" / compiled.FOLDER).iterdir()} == {
        compiled.INDEX,
        compiled.SNAPSHOT,
    }
    role = f"role_{uuid4().hex[:12]}"
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'plain' IN ROLE dbschema_app")
    url = make_url(database).set(username=role, password="plain").render_as_string(hide_password=False)

    verified = program(url, "verify", "--json")

    report = json.loads(verified.stdout)
    assert [check for check in report["checks"] if not check["passed"]] == []
    (method,) = [check["detail"] for check in report["checks"] if check["name"] == "comparison"]
    assert method.startswith("catalog with the snapshot from PostgreSQL")
    again = program(database, "status")
    assert again.returncode == 0, again.stderr
