"""The tests that pytest-alembic brings pass, as they do in an application that tests its revisions with them.

Its plugin is not loaded in this run, as it imports Alembic for everybody; what it would give is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_alembic.plugin.fixtures import alembic_runner
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, NullPool, create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "alembic_runner",
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]


@pytest.fixture
def alembic_config() -> dict[str, Any]:
    return {"file": str(Path(__file__).resolve().parents[2] / "alembic.ini")}


@pytest.fixture
def alembic_engine(fresh_database: str) -> Iterator[Engine]:
    engine = create_engine(fresh_database, poolclass=NullPool)
    yield engine
    engine.dispose()
