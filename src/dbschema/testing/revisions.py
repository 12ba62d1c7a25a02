"""Run and inspect revisions, for the fixtures and the importable tests."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine

from dbschema import catalog
from dbschema.migrations.location import script_location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import MetaData

    from dbschema.catalog import Catalog, Difference


def configuration(root: Path, ini: str | None) -> Config:
    """Return Alembic's configuration of a project.

    Args:
        root: the root directory of pytest.
        ini: the path of the file, relative to `root`; None: `alembic.ini` if it exists, else only the revisions of this
            package.
    """
    file = root / (ini or "alembic.ini")
    if ini is not None or file.is_file():
        return Config(str(file), stdout=io.StringIO())
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    return config


def upgrade(config: Config, url: str, revision: str = "heads") -> None:
    """Run `alembic upgrade` on the database at `url`."""
    command.upgrade(_at(config, url), revision)


def downgrade(config: Config, url: str, revision: str) -> None:
    """Run `alembic downgrade` on the database at `url`."""
    command.downgrade(_at(config, url), revision)


def heads(config: Config) -> dict[str, list[str]]:
    """Return the heads in each folder of revisions."""
    scripts = ScriptDirectory.from_config(config)
    by_folder: dict[str, list[str]] = {}
    for head in scripts.get_heads():
        script = scripts.get_revision(head)
        by_folder.setdefault(str(Path(script.path).parent), []).append(head)
    return by_folder


@dataclass(frozen=True)
class Move:
    """A revision, the target of a downgrade of this revision only, and a label."""

    revision: str
    target: str
    label: str


def moves(config: Config) -> Iterator[Move]:
    """Yield all revisions in the order in which `upgrade heads` applies them."""
    scripts = ScriptDirectory.from_config(config)
    for script in reversed(list(scripts.walk_revisions())):
        down = script.down_revision
        # The first revision of a branch: only this branch goes to base, not the revisions that it depends on.
        target = down if isinstance(down, str) else f"{script.revision}@base"
        yield Move(script.revision, target, f"{script.revision} ({script.doc})")


def actual(url: str, metadata: MetaData) -> Catalog:
    """Return the actual catalog of the database at `url`."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return catalog.actual(connection, metadata)


def differences(url: str, metadata: MetaData) -> tuple[Difference, ...]:
    """Return the differences between the database at `url` and the models."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return catalog.check(connection, metadata)


def listed(differences: tuple[Difference, ...]) -> str:
    """Format differences, one on each line."""
    return "\n".join(
        f"  {each.change} {each.kind} {each.name}{f': {each.attribute}' if each.attribute else ''}"
        for each in differences
    )


def _at(config: Config, url: str) -> Config:
    config.attributes["url"] = url
    return config
