"""What the fixtures and the importable tests do with revisions."""

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
    """Alembic's configuration of a project.

    Args:
        root: pytest's root directory.
        ini: the file, from there; None: `alembic.ini` if there is one, else the revisions of this package alone.
    """
    file = root / (ini or "alembic.ini")
    if ini is not None or file.is_file():
        return Config(str(file), stdout=io.StringIO())
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    return config


def upgrade(config: Config, url: str, revision: str = "heads") -> None:
    """`alembic upgrade`, for the database at `url`."""
    command.upgrade(_at(config, url), revision)


def downgrade(config: Config, url: str, revision: str) -> None:
    """`alembic downgrade`, for the database at `url`."""
    command.downgrade(_at(config, url), revision)


def heads(config: Config) -> dict[str, list[str]]:
    """The heads in each folder of revisions."""
    scripts = ScriptDirectory.from_config(config)
    found: dict[str, list[str]] = {}
    for head in scripts.get_heads():
        script = scripts.get_revision(head)
        found.setdefault(str(Path(script.path).parent), []).append(head)
    return found


@dataclass(frozen=True)
class Move:
    """One revision, where a downgrade of it alone ends, and what it is called."""

    revision: str
    target: str
    label: str


def moves(config: Config) -> Iterator[Move]:
    """Every revision, in the order in which `upgrade heads` applies them."""
    scripts = ScriptDirectory.from_config(config)
    for script in reversed(list(scripts.walk_revisions())):
        below = script.down_revision
        # The first of a line: its own line goes to base, and not what it depends on.
        target = below if isinstance(below, str) else f"{script.revision}@base"
        yield Move(script.revision, target, f"{script.revision} ({script.doc})")


def found(url: str, metadata: MetaData) -> Catalog:
    """What the database at `url` has."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return catalog.actual(connection, metadata)


def differences(url: str, metadata: MetaData) -> tuple[Difference, ...]:
    """What the database at `url` has otherwise than the models say."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return catalog.check(connection, metadata)


def told(differences: tuple[Difference, ...]) -> str:
    """Differences, one a line."""
    return "\n".join(
        f"  {one.change} {one.kind} {one.name}{f': {one.attribute}' if one.attribute else ''}"
        for one in differences
    )


def _at(config: Config, url: str) -> Config:
    config.attributes["url"] = url
    return config
