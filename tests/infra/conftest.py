"""The app of infra/, synthesised once a stage and run of tests; workers of pytest-xdist share it.

Needs neither the server nor the package: only what the dependency group infra brings. Where that is missing the tests
fail, and say so.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "infra")]

from synthesis import (  # noqa: E402  found by the line above
    Assembly,
    environment,
    missing_tools,
    synthesise,
    write_archive,
)

if TYPE_CHECKING:
    from types import ModuleType

REVISIONS = {"first": None, "second": "first"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the settings of plugins that the other tests have and these do not: pytest is told to refuse unknown ones."""
    if importlib.util.find_spec("pytest_asyncio") is None:
        parser.addini("asyncio_default_fixture_loop_scope", "of pytest-asyncio; not used here")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "infra"
    folder.mkdir(exist_ok=True)
    return folder


def stage(shared: Path, name: str) -> Assembly:
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / name / "manifest.json").exists():
            archive = write_archive(shared / f"{name}.zip", REVISIONS)
            synthesise(shared / name, stage=name, archive=str(archive), alarm_email="night@example.com")
    return Assembly(shared / name)


@pytest.fixture(scope="session")
def development(shared: Path) -> Assembly:
    """The app of the stage development."""
    return stage(shared, "development")


@pytest.fixture(scope="session")
def production(shared: Path) -> Assembly:
    """The app of the stage production."""
    return stage(shared, "production")


@pytest.fixture(params=["development", "production"])
def assembly(request: pytest.FixtureRequest) -> Assembly:
    """The app of either stage."""
    found: Assembly = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def cdk() -> ModuleType:
    """aws_cdk, for constructs that are put together in a test."""
    if missing := missing_tools():
        pytest.fail(missing)
    os.environ.update(environment())
    import aws_cdk
    import aws_cdk.assertions

    return aws_cdk


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A stand-in for the archive of the functions; its head is "second"."""
    return write_archive(tmp_path / "lambda.zip", REVISIONS)
