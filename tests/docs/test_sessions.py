"""The code of docs/sessions.md runs, as the login that the page describes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- runs as a test: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def url(new_database: Callable[..., str]) -> Iterator[str]:
    """The address of the application's login, made by the statements of the page."""
    admin = make_url(new_database(migrated=True, driver=""))
    login = f"shop_{uuid4().hex[:8]}"
    statements = re.search(r"```sql\n(CREATE ROLE shop .*?)```", PAGE, re.DOTALL)
    assert statements is not None
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(re.sub(r"\bshop\b", login, statements[1]).replace("…", "secret"))
        yield admin.set(username=login, password="secret").render_as_string(hide_password=False)
        connection.execute(f"DROP ROLE {login}")


@pytest.mark.parametrize(("name", "printed"), [("sync", "Pothole True\n"), ("asyncio", "biel\n")])
def test_the_code_runs_as_the_page_shows(url: str, tmp_path: Path, name: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[name]],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_each_block_that_is_marked_is_run() -> None:
    assert sorted(BLOCKS) == ["asyncio", "sync"]
