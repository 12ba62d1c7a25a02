"""Projects whose tests use the plugin, run as programs: a plugin is not tested by the run that has it loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_postgresql.executors import NoopExecutor
    from tests.conftest import TestServer

PLUGINS = ("dbschema.testing.plugin", "xdist.plugin")


@dataclass(frozen=True)
class Project:
    """A folder with tests.

    Args:
        folder: pytest's root directory.
        url: the server for its databases; None: a private one.
        temporary: where its temporary files go; None: where those of this run are.
        template: a migrated database there that those of its tests are copies of; None: its runs migrate one.
    """

    folder: Path
    url: str | None
    temporary: Path | None = None
    template: str | None = None

    def write(self, code: str, name: str = "test_project.py") -> None:
        (self.folder / name).write_text(code, encoding="utf-8")

    def run(self, *arguments: str, plugins: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run its tests, with no plugin that is not named."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
        for plugin in (*PLUGINS, *plugins):
            command += ["-p", plugin]
        if self.url is not None:
            command += ["--dbschema-url", self.url]
        if self.template is not None:
            command += ["--dbschema-template", self.template]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        # A run that begins closes the folder of all runs to others, where a server of this run may be.
        kept["PYTEST_DEBUG_TEMPROOT"] = str(self.folder)
        if self.temporary is not None:
            kept["TMPDIR"] = str(self.temporary)
        return subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(tmp_path: Path, server: TestServer) -> Project:
    """An empty project, whose databases are made on the server of this run."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    url = make_url(server.url("postgres", driver=""))
    return Project(tmp_path, url.render_as_string(hide_password=False))


@pytest.fixture
def quick_project(project: Project, migrated: NoopExecutor) -> Project:
    """The same, for tests of what is done with a template, and not of how it is made."""
    return replace(project, template=migrated.template_dbname)
