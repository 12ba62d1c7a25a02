"""What no tracked file may hold, and what the scripts must be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IGNORED = [
    line for line in (ROOT / ".gitignore").read_text().splitlines() if line and not line.startswith("#")
]
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").glob("*.sh"))]

# Written in two halves where the whole would be found in this file.
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:" + r"work|farm|root|home/(?!linuxbrew/)[a-z]\w*|Users/\w+" + r")/[\w.-]"
)
ADDRESS = re.compile(r"https?://|file://|--(?:extra-)?index-url|--find-links|--trusted-host")


def ignored(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in IGNORED)


def tracked_files() -> list[Path]:
    """Every file that is or would be committed; in an archive without git, every file that is not built or cached."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != ".git" and not ignored(f"{name}/")]
        files += [Path(folder, name) for name in names if not ignored(name)]
    return files


def findings(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_the_list_of_tracked_files_is_not_empty() -> None:
    names = {str(path.relative_to(ROOT)) for path in tracked_files()}

    assert {"pyproject.toml", "Makefile", "requirements/dev.txt", "scripts/bootstrap.sh"} <= names
    assert not any(name.startswith((".venv/", ".git/")) for name in names)


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert findings(MACHINE_PATH, tracked_files()) == []


@pytest.mark.parametrize("line", ["cd /" + "work/main", 'x = "/' + 'home/ada/x"', "(/" + "root/.cache)"])
def test_a_path_of_one_machine_would_be_found(line: str) -> None:
    assert MACHINE_PATH.search(line)


def test_no_lock_file_names_a_registry_or_a_folder_of_packages() -> None:
    """A lock file holds names, versions and hashes; where they come from is the business of each machine."""
    locks = [
        path
        for path in tracked_files()
        if path.parent == ROOT / "requirements"
        or path.suffix == ".lock"
        or path.name in {"package-lock.json", "npm-shrinkwrap.json", "constraints.txt", "pip.conf", ".npmrc"}
    ]

    found = findings(ADDRESS, locks)

    assert locks
    assert found == []


def test_alembic_is_no_package_that_would_hide_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_executable_and_its_shell_can_read_it(script: Path) -> None:
    shell = (
        script.read_text()
        .splitlines()[0]
        .removeprefix("#!")
        .removeprefix("/usr/bin/env ")
        .removeprefix("/bin/")
    )

    read = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)

    assert shell in {"sh", "bash"}
    assert os.access(script, os.X_OK)
    assert (read.returncode, read.stderr) == (0, "")
