"""How infra/ is built: apart from dbschema, one construct a file."""

from __future__ import annotations

import ast
import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from synthesis import INFRA, ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted([*INFRA.glob("*.py"), *(INFRA / "dbschema_infra").glob("*.py")])
CONSTRUCTS = {"Construct", "Stack", "SecurityGroup"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_imported_from_dbschema_or_alembic(path: Path) -> None:
    """Another app takes these files without the library, and reading a head must not run a revision."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])

    assert not names & {"dbschema", "alembic", "sqlalchemy", "lambda_entry"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_holds_at_most_one_construct(path: Path) -> None:
    constructs = [
        node.name
        for node in tree(path).body
        if isinstance(node, ast.ClassDef)
        and {ast.unparse(base).rpartition(".")[2] for base in node.bases} & CONSTRUCTS
    ]

    assert len(constructs) <= 1


def test_the_migration_alone_can_be_installed_with_the_versions_that_are_tested_here() -> None:
    package = tomllib.loads((INFRA / "pyproject.toml").read_text())["project"]["dependencies"]
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["infra"]

    assert set(package) <= set(group)


def test_cdk_json_holds_no_context() -> None:
    """What stands there is unknown where the app runs without CDK's command line, and the templates would differ."""
    assert set(json.loads((INFRA / "cdk.json").read_text())) == {"app", "output"}
