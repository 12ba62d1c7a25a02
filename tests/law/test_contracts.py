"""The contracts of import-linter in pyproject.toml: they hold, and each catches what it forbids."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pyproject.toml"
PACKAGES = {
    "tools", "migrations", "verify", "queries", "seeds", "testing", "autogenerate", "loading", "sessions", "models",
    "catalog", "connect", "orm", "ddl",
}  # fmt: skip
MODULES = {
    "__main__",
    "environment",
    "errors",
    "sql",
    "secrecy",
    "_progress",
    "_retry",
    "_sqlalchemy",
    "_alembic",
}


def run(folder: Path, **environment: str) -> tuple[bool, str]:
    """Run the linter as `make lint` does; return whether the contracts are kept, and the report."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo", CONFIG],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    report = done.stdout + done.stderr
    if not re.search(r"Contracts: \d+ kept, \d+ broken", report):
        raise RuntimeError(report)  # no finding: the linter itself failed
    return done.returncode == 0, report


def lint(folder: Path, **sources: str) -> tuple[bool, str]:
    """Lint a package of this name that has the floors of the real one, and in each module the given source."""
    package = folder / "dbschema"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in PACKAGES:
        (package / name).mkdir()
        (package / name / "__init__.py").touch()
    for name in MODULES:
        (package / f"{name}.py").touch()
    for name, source in sources.items():
        path = package.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.with_name("__init__.py").touch()
        path.write_text(source, encoding="utf-8")
    return run(folder, PYTHONPATH=str(folder))


def test_the_contracts_hold() -> None:
    kept, report = run(ROOT)

    assert kept, report


def test_a_package_that_keeps_its_floors_passes(tmp_path: Path) -> None:
    kept, report = lint(
        tmp_path,
        tools__cli="from dbschema.migrations import run\nfrom dbschema.models import User",
        migrations__run="from dbschema.connect import address\nfrom dbschema import errors",
        connect__address="from dbschema.ddl import registry",
        ddl__registry="from dbschema import sql, _sqlalchemy",
        queries__incidents="from dbschema.models import User",
        models__user="from dbschema.orm import base",
        orm__base="",
    )

    assert kept, report


FORBIDDEN = {
    "errors": ("from dbschema import sql", "dbschema.errors -> dbschema.sql"),
    "ddl__x": ("from dbschema.catalog import y", "dbschema.ddl.x -> dbschema.catalog"),
    "catalog__x": (
        "def f():\n    from dbschema import migrations",
        "dbschema.catalog.x -> dbschema.migrations",
    ),
    "orm__x": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dbschema.sessions import y",
        "dbschema.orm.x -> dbschema.sessions",
    ),
    "migrations__x": ("from dbschema import tools", "dbschema.migrations.x -> dbschema.tools"),
    "verify__x": ("from dbschema.models import User", "dbschema.verify.x -> dbschema.models"),
    "sessions__x": ("import dbschema.models", "dbschema.sessions.x -> dbschema.models"),
    "migrations__y": ("from dbschema import seeds", "dbschema.migrations.y -> dbschema.seeds"),
    "queries__x": ("from dbschema.testing import y", "dbschema.queries.x -> dbschema.testing"),
    "verify__y": ("from dbschema.testing import y", "dbschema.verify.y -> dbschema.testing"),
}


def test_each_import_that_a_contract_forbids_is_named(tmp_path: Path) -> None:
    kept, report = lint(tmp_path, **{module: source for module, (source, _) in FORBIDDEN.items()})

    assert not kept
    assert [broken for _, broken in FORBIDDEN.values() if broken not in report] == []


def test_an_import_over_a_third_module_counts(tmp_path: Path) -> None:
    kept, report = lint(
        tmp_path, verify__x="import dbschema.loading.y", loading__y="from dbschema.models import User"
    )

    assert not kept
    assert "dbschema.loading.y -> dbschema.models" in report


def test_a_new_package_needs_a_floor(tmp_path: Path) -> None:
    kept, report = lint(tmp_path, cellar__x="")

    assert not kept
    assert "cellar" in report


def test_every_part_of_the_package_is_engine_schema_tools_or_plugin() -> None:
    """A floor that the second contract does not list would be free to import the models."""
    floors, engine, schema = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    names = {
        f"dbschema.{name.strip()}"
        for layer in floors["layers"]
        for name in layer.replace("|", ":").split(":")
    }

    assert names == {*engine["source_modules"], *engine["forbidden_modules"]}
    assert {*schema["source_modules"], *schema["forbidden_modules"]} == {*engine["forbidden_modules"]}
