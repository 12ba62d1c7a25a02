"""Load the revision scripts with Alembic: their graph, their steps, and Alembic's own runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_tuple

from dbschema.migrations.errors import BrokenScripts
from dbschema.migrations.revisions import Graph, Node, Revision, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from alembic.script import Script
    from sqlalchemy import Connection

    from dbschema.migrations.revisions import Direction


class Scripts:
    """The revision scripts of a folder, or of all folders that an ini file names, as Alembic loads them.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`.

    Raises:
        BrokenScripts: the scripts cannot be loaded, or a branch has several heads.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        try:
            self._directory = ScriptDirectory.from_config(self._config())
            scripts = {script.revision: script for script in self._directory.walk_revisions()}
            self.graph = graph_of(self._directory)
        except KeyError as error:  # raised by Alembic after a warning
            raise BrokenScripts(self.location, f"they depend on {error}, which does not exist") from error
        except (CommandError, SyntaxError, ImportError) as error:
            raise BrokenScripts(self.location, " ".join(str(error).split())) from error
        except Exception as error:  # a script may raise anything at its import
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BrokenScripts(self.location, reason) from error
        if heads := self.graph.split():
            raise BrokenScripts(self.location, f"they have several heads ({', '.join(sorted(heads))})")
        ordered = [scripts[revision] for revision in self.graph.order]
        self.revisions = tuple(Revision(script.revision, script.doc) for script in ordered)
        self.paths = tuple(Path(script.path) for script in ordered)

    def step(self, direction: Direction, revision: Revision) -> MigrationStep:
        """Return Alembic's step that applies or reverts `revision`."""
        script = self._directory.get_revision(revision.id)
        make = (
            MigrationStep.upgrade_from_script
            if direction == "upgrade"
            else MigrationStep.downgrade_from_script
        )
        return make(self._directory.revision_map, script)

    def stamp(self, connection: Connection, revision: str) -> None:
        """Record `revision` in the version table without executing it, in the transaction of `connection`.

        Args:
            connection: a connection to the database.
            revision: an id; 'heads': the newest revision of each branch.
        """
        MigrationContext.configure(connection).stamp(self._directory, revision)

    def run(
        self,
        steps: Callable[[Any, Any], Iterator[MigrationStep]],
        *,
        connection: Connection | None = None,
        output: TextIO | None = None,
        **options: Any,
    ) -> None:
        """Run Alembic with the steps of the caller. Alembic takes the next step after it has committed the step before.

        Args:
            steps: returns the steps; Alembic calls it with the current revisions and its context.
            connection: a connection to the database; None: offline mode, into `output`.
            output: receives the SQL in offline mode.
            options: options of Alembic's EnvironmentContext.
        """
        config = self._config(output)
        if connection is not None:
            config.attributes["connection"] = connection
        with EnvironmentContext(config, self._directory, fn=steps, **options):
            self._directory.run_env()

    def _config(self, output: TextIO | None = None) -> Config:
        """Return Alembic's configuration for these scripts, without output."""
        options: dict[str, Any] = {} if output is None else {"output_buffer": output}
        config = Config(self.location if self.location.is_file() else None, **options)
        config.print_stdout = _silent  # type: ignore[method-assign,assignment]  # a library does not print
        if not self.location.is_file():
            config.set_main_option("script_location", str(self.location).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
        return config


def graph_of(directory: ScriptDirectory) -> Graph:
    """Return the graph of the revisions in `directory`."""

    def node(script: Script) -> Node:
        names = to_tuple(script.dependencies, ())
        depends = [dependency for name in names for dependency in directory.get_revisions(name)]
        return Node(
            script.revision,
            down=to_tuple(script.down_revision, ()),
            depends=tuple(dependency.revision for dependency in depends),
            labels=frozenset(script.branch_labels),
        )

    return Graph(in_order(map(node, directory.walk_revisions())))


def _silent(*_: object) -> None:
    """Print nothing."""
