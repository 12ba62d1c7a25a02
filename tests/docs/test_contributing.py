"""CONTRIBUTING.md: its walk "add a table" is done in a copy of the checkout, and touches the files that the page names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- runs as a test: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
COPIED = (
    "Makefile",
    "alembic",
    "alembic.ini",
    "docs",
    "examples",
    "lambda_entry.py",
    "pyproject.toml",
    "scripts",
    "src",
    "tests",
)
"""What the commands of the walk read; a link stays a link."""

IGNORED = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", "node_modules")
CATALOG = """
SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT format('%s %s', relname, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT format('%s %s %s %s %s', tablename, policyname, roles, qual, with_check) FROM pg_policies
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the checkout, with the environment of this one."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    return new_database(driver="")


@pytest.fixture
def shell(copy: Path, url: str) -> Callable[[str], str]:
    """Runs commands of the page in the copy: `make` finds the environment ready, and prepares none."""

    def run(commands: str) -> str:
        folder = Path(sys.executable).parent
        done = subprocess.run(
            ["sh", "-e", "-c", f'make() {{ command make -o env -o ready "$@"; }}\n{commands}'],
            cwd=copy,
            env={
                **os.environ,
                "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
                "VENV": str(folder.parent),
                "PYTHONPATH": str(copy / "src"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "DATABASE_URL": url,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the copy, by its path; caches and what Git ignores are left out."""
    ignored = {"__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis", ".dbschema"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and ignored.isdisjoint(path.parts)
    }


def changes(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """As `git status` shows them: A, M or D, and the path."""
    return {
        f"{'M' if path in before and path in after else 'A' if path in after else 'D'} {path}"
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }


def named() -> list[str]:
    """The files that the page names, as patterns: the date of a revision is the day's."""
    return [re.sub("YYYYMMDD_HHMM", "*", line) for line in BLOCKS["files"].splitlines()]


def place(block: str) -> str:
    """The file that a block of Python is for, as the page names it before the block."""
    return re.findall(r"`(src/[\w/]+\.py)`", PAGE[: PAGE.index(f"<!-- runs as a test: {block} -->")])[-1]


def apply(copy: Path) -> str:
    """Write the model of the page and export it; returns its name."""
    (copy / place("model")).write_text(BLOCKS["model"], encoding="utf-8")
    (line,) = BLOCKS["export"].splitlines()
    name = line.rpartition(" ")[2]
    exports = copy / place("export")
    text = exports.read_text(encoding="utf-8")
    text, number = re.subn(r"\n\n(?=metadata = )", f"\n{line}\n\n", text)
    assert number == 1
    text = text.replace("__all__ = [", f'__all__ = [\n    "{name}",')
    exports.write_text(text, encoding="utf-8")
    return name


def catalog(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return sorted(row for (row,) in connection.execute(CATALOG))


def test_the_page_has_the_blocks_that_are_tried_here() -> None:
    assert set(BLOCKS) == {"start", "model", "export", "generate", "prove", "files"}


def test_a_table_is_added_as_the_page_shows_and_touches_the_files_that_it_names(
    copy: Path, shell: Callable[[str], str], url: str
) -> None:
    before = contents(copy)

    shell(BLOCKS["start"])
    name = apply(copy)
    shell(BLOCKS["generate"])

    touched = changes(before, contents(copy))
    assert {line for line in touched if not any(fnmatch(line, pattern) for pattern in named())} == set()
    assert [pattern for pattern in named() if not any(fnmatch(line, pattern) for line in touched)] == []

    shown = shell(BLOCKS["prove"])
    assert "warehouses" in shown
    assert shell("ruff check src alembic && ruff format --check src alembic")
    assert changes(before, contents(copy)) == touched

    up = catalog(url)
    shell("alembic downgrade -1")
    assert not any("warehouses" in fact for fact in catalog(url))
    shell("dbschema upgrade")
    assert catalog(url) == up

    shell(
        "python -W error -c '"
        "import os, psycopg; from sqlalchemy import create_engine; from sqlalchemy.orm import Session;"
        f"from dbschema.models import {name}; from dbschema.testing import assert_isolated;"
        'engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"));'
        f"connection = engine.connect(); assert_isolated({name}, connection); connection.close(); engine.dispose()'"
    )

    # The tests of the models hold for the new table, and need no change.
    assert "passed" in shell("python -m pytest -n 0 -q -p no:cacheprovider tests/models/test_schema.py")
