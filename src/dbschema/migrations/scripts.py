"""The revision scripts as Alembic has them: which stands on which, their steps, and Alembic's own runs.

Where the revision scripts are: an application's where it says so, else those of this package.

Those are inside of it, in a checkout through a link to the top of the repository.
"""

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
    """The revision scripts of one folder, or of all that an ini file names.

    Args:
        location: the folder with `env.py` and `versions/`, or an application's `alembic.ini`.

    Raises:
        BrokenScripts: they cannot be loaded, or a line of them has several heads.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        try:
            self._directory = ScriptDirectory.from_config(self._config())
            scripts = {script.revision: script for script in self._directory.walk_revisions()}
            self.graph = graph_of(self._directory)
        except KeyError as error:  # of Alembic, which warns about it first
            raise BrokenScripts(self.location, f"they build on {error}, which is not there") from error
        except (CommandError, SyntaxError, ImportError) as error:
            raise BrokenScripts(self.location, " ".join(str(error).split())) from error
        except Exception as error:  # a file is a program, which may raise anything when it is loaded
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BrokenScripts(self.location, reason) from error
        if heads := self.graph.split():
            raise BrokenScripts(self.location, f"they have several heads ({', '.join(sorted(heads))})")
        ordered = [scripts[one] for one in self.graph.order]
        self.revisions = tuple(Revision(script.revision, script.doc) for script in ordered)
        self.paths = tuple(Path(script.path) for script in ordered)

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
        """Record `revision` as applied, in the transaction of `connection`, without applying anything.

        Args:
            connection: to the database.
            revision: an id; 'heads' for the last of each line.
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
        options: dict[str, Any] = {} if output is None else {"output_buffer": output}
        config = Config(self.location if self.location.is_file() else None, **options)
        config.print_stdout = _silent  # type: ignore[method-assign,assignment]  # a library does not print
        if not self.location.is_file():
            config.set_main_option("script_location", str(self.location).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
        return config


def graph_of(directory: ScriptDirectory) -> Graph:
    """Which of the revisions in `directory` stands on which."""

    def node(script: Script) -> Node:
        depends = [one for name in to_tuple(script.dependencies, ()) for one in directory.get_revisions(name)]
        return Node(
            script.revision,
            down=to_tuple(script.down_revision, ()),
            depends=tuple(one.revision for one in depends),
            labels=frozenset(script.branch_labels),
        )

    return Graph(in_order(map(node, directory.walk_revisions())))


def _silent(*_: object) -> None:
    """Print nothing."""
