"""The revision scripts of one folder as Alembic has them: their line of history, their steps, and Alembic's own runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from dbschema.migrations.errors import BrokenScripts
from dbschema.migrations.history import Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from sqlalchemy import Connection

    from dbschema.migrations.history import Direction


class Scripts:
    """The revision scripts of one folder.

    Args:
        location: the folder with `env.py` and `versions/`.

    Raises:
        BrokenScripts: they cannot be loaded, or are not one line.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        self._directory = ScriptDirectory.from_config(self._config())
        try:
            heads = self._directory.get_heads()
            scripts = list(reversed(list(self._directory.walk_revisions())))
        except KeyError as error:  # of Alembic, which warns about it first
            raise BrokenScripts(self.location, f"they build on {error}, which is not there") from error
        except (CommandError, SyntaxError, ImportError) as error:
            raise BrokenScripts(self.location, " ".join(str(error).split())) from error
        except Exception as error:  # a file is a program, which may raise anything when it is loaded
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BrokenScripts(self.location, reason) from error
        if len(heads) > 1:
            raise BrokenScripts(self.location, f"they have several heads ({', '.join(sorted(heads))})")
        self.revisions = tuple(Revision(script.revision, script.doc) for script in scripts)
        self.paths = tuple(Path(script.path) for script in scripts)

    def step(self, direction: Direction, revision: Revision) -> MigrationStep:
        """The step of Alembic's that applies or takes back `revision`."""
        script = self._directory.get_revision(revision.id)
        make = (
            MigrationStep.upgrade_from_script
            if direction == "upgrade"
            else MigrationStep.downgrade_from_script
        )
        return make(self._directory.revision_map, script)

    def stamp(self, connection: Connection, revision: str) -> None:
        """Record `revision` as applied, in the transaction of `connection`, without applying anything."""
        MigrationContext.configure(connection).stamp(self._directory, revision)

    def run(
        self,
        steps: Callable[[Any, Any], Iterator[MigrationStep]],
        *,
        connection: Connection | None = None,
        output: TextIO | None = None,
        **options: Any,
    ) -> None:
        """What Alembic's own commands do, with steps that the caller hands out, one when the last one is committed.

        Args:
            steps: called by Alembic with the present revisions and its context.
            connection: to the database; None: offline, into `output`.
            output: receives SQL.
            options: of Alembic's EnvironmentContext.
        """
        config = self._config(output)
        if connection is not None:
            config.attributes["connection"] = connection
        with EnvironmentContext(config, self._directory, fn=steps, **options):
            self._directory.run_env()

    def _config(self, output: TextIO | None = None) -> Config:
        """Alembic's configuration for these scripts, silent."""
        config = Config(output_buffer=output) if output is not None else Config()
        config.print_stdout = _silent  # type: ignore[method-assign,assignment]  # a library does not print
        config.set_main_option("script_location", str(self.location).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config


def _silent(*_: object) -> None:
    """Print nothing."""
