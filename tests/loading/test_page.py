"""The code of docs/loading.md runs, and prints what it should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "loading.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- runs as a test: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def test_each_block_is_marked() -> None:
    assert list(BLOCKS) == ["load", "upsert"]
    assert PAGE.count("```python") == len(BLOCKS)


def test_the_page_does_what_it_shows(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    engine, tenant = create_engine(database), uuid4()
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO tenants (id, tenant_name, slug) VALUES (:id, 'T', 't')"), {"id": tenant}
        )

    exec("\n".join(BLOCKS.values()), {"engine": engine, "tenant_id": tenant})  # the page's own code

    engine.dispose()
    assert capsys.readouterr().out.split() == ["2", "1", "1"]
