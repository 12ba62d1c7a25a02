"""What the tests of the revisions share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from dbschema.migrations import compilation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

sys.path[:0] = [str(Path(__file__).parents[1])]  # for `clock`

WriteHistory: TypeAlias = "Callable[..., Path]"

ENVIRONMENT = """
from alembic import context
from dbschema.migrations import alembic_env
from sqlalchemy import MetaData

alembic_env.run(context, MetaData(), compare=False)
"""
REVISION = '''
"""Do {id}"""
import os
import time
from pathlib import Path

from alembic import op

revision = "{id}"
down_revision = {below!r}


def upgrade():
    {up}


def downgrade():
    {down}
'''


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alembic: a test that pytest-alembic brings")


@pytest.fixture
def compiles() -> bool:
    """Whether the histories of a test are compiled; a file whose rules hold for both ways has a fixture of its own."""
    return False


@pytest.fixture
def write_history(tmp_path: Path, compiles: bool) -> WriteHistory:
    """Writes `id=code of upgrade` into a folder of scripts, one revision after the other; the code may have lines."""

    def write(folder: str = "history", /, *, down: str = "pass", **revisions: str) -> Path:
        scripts = tmp_path / folder
        (scripts / "versions").mkdir(parents=True)
        (scripts / "env.py").write_text(ENVIRONMENT)
        below = None
        for name, up in revisions.items():
            code = "\n    ".join(up.strip().splitlines())
            source = REVISION.format(id=name, below=below, up=code, down=down)
            (scripts / "versions" / f"{name}.py").write_text(source)
            below = name
        if compiles:
            compilation.write(scripts)
        return scripts

    return write


@pytest.fixture
def plain_engine(fresh_database: str) -> Iterator[Engine]:
    """An engine on the fresh database that has nothing to do with the library."""
    engine = create_engine(fresh_database, poolclass=NullPool)
    yield engine
    engine.dispose()
