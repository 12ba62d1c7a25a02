"""Tests for every project with revisions; a test module imports them: `from dbschema.testing.tests import *`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.catalog import compare
from dbschema.testing import revisions

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import MetaData

__all__ = [
    "test_each_folder_of_revisions_has_one_head",
    "test_each_revision_goes_up_and_down_and_up_again",
    "test_the_models_are_what_the_revisions_build",
]


def test_each_folder_of_revisions_has_one_head(db_alembic_config: Config) -> None:
    """Each folder of revisions has one head."""
    several = {
        folder: heads for folder, heads in revisions.heads(db_alembic_config).items() if len(heads) > 1
    }

    assert not several, f"several heads; merge them with 'alembic merge': {several}"  # noqa: S101  a test


def test_the_models_are_what_the_revisions_build(db_url: str, db_metadata: MetaData) -> None:
    """The revisions build what the models declare."""
    differences = revisions.differences(db_url, db_metadata)

    assert not differences, (  # noqa: S101  a test
        f"write a revision with 'alembic revision --autogenerate':\n{revisions.listed(differences)}"
    )


def test_each_revision_goes_up_and_down_and_up_again(
    db_alembic_config: Config, db_empty_url: str, db_metadata: MetaData
) -> None:
    """Each downgrade restores the catalog from before its upgrade, and a second upgrade gives the same catalog again."""
    for move in revisions.moves(db_alembic_config):
        before = revisions.actual(db_empty_url, db_metadata)
        revisions.upgrade(db_alembic_config, db_empty_url, move.revision)
        after = revisions.actual(db_empty_url, db_metadata)

        revisions.downgrade(db_alembic_config, db_empty_url, move.target)
        down = compare(before, revisions.actual(db_empty_url, db_metadata))
        revisions.upgrade(db_alembic_config, db_empty_url, move.revision)
        up = compare(after, revisions.actual(db_empty_url, db_metadata))

        assert not down, f"the downgrade of {move.label} leaves:\n{revisions.listed(down)}"  # noqa: S101  a test
        assert not up, f"{move.label} gives another result the second time:\n{revisions.listed(up)}"  # noqa: S101  a test
