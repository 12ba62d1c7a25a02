"""Each environment variable that the code reads is declared, so that docs/environment.md has it."""

from __future__ import annotations

import ast
import pickle
import re
import runpy
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbschema.environment import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "src" / "dbschema").rglob("*.py")), ROOT / "lambda_entry.py"]
DECLARED = runpy.run_path(str(ROOT / "scripts" / "environment_docs.py"))["declared"]()
NAME = re.compile(r"(DB|DBSCHEMA|DATABASE|AURORA|RDS|AWS|POWERTOOLS|LAMBDA)_[A-Z_]+|PG[A-Z]{4,}")
READING = re.compile(r"environ|environment|variables|getenv", re.IGNORECASE)
UNREAD = {
    # Removed from psql's environment, or set there.
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGTARGETSESSIONATTRS",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
    "PGPASSWORD",
}


def names(code: str) -> Iterator[str]:
    """Texts that look like the name of a variable, and those by which an environment is read."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            key, source = node.slice, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            key, source = node.args[0], node.func.value if node.func.attr == "get" else node.func
        text = key.value if isinstance(key, ast.Constant) else None
        if (
            isinstance(text, str)
            and re.fullmatch("[A-Z][A-Z_]+", text)
            and READING.search(ast.unparse(source))
        ):
            yield text


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("X = 'DBSCHEMA_NEW'", ["DBSCHEMA_NEW"]),
        ("X = ('PGHOST', 'DB_HOST')", ["PGHOST", "DB_HOST"]),
        ("os.environ.get('EDITOR')", ["EDITOR"]),
        ("os.environ['EDITOR']", ["EDITOR"]),
        ("os.getenv('EDITOR')", ["EDITOR"]),
        ("Variables(environ).get('EDITOR', '')", ["EDITOR"]),
        ("'unset DB_HOST'; row['EDITOR']; 'PGDG'; environ.get(NAME)", []),
    ],
)
def test_names_are_found_in_code(code: str, found: list[str]) -> None:
    assert list(names(code)) == found


def test_each_variable_that_the_code_reads_is_declared() -> None:
    used = {name: path for path in SOURCES for name in names(path.read_text(encoding="utf-8"))}

    assert {name: path.name for name, path in used.items() if name not in {*DECLARED, *UNREAD}} == {}
    assert used.keys() >= UNREAD


def test_each_variable_is_declared_once_with_its_meaning() -> None:
    assert len(DECLARED) == len(set(DECLARED)) > 50
    assert [name for name in DECLARED if not re.fullmatch(r"[A-Z].*[.:] .*\.|.*[^.]\.", name.meaning)] == []


def test_what_make_reads_is_declared() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE)) <= {
        name for name in DECLARED if name.reader == "make"
    }


def test_a_variable_is_its_name_also_as_a_copy() -> None:
    variable = Variable("SHOP", "The shop.", default="none", example="corner")

    copies = [deepcopy(variable), pickle.loads(pickle.dumps(variable))]

    assert copies == [variable, variable] == ["SHOP", "SHOP"]
    assert [copy.meaning for copy in copies] == ["The shop."] * 2
