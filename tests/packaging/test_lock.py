"""The pins are those of pyproject.toml, complete and hashed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = [line for group in PROJECT["project"].get("optional-dependencies", {}).values() for line in group]
DIRECT = {
    "runtime": RUNTIME,
    "dev": [*RUNTIME, *EXTRAS, *PROJECT["dependency-groups"]["dev"], *PROJECT["build-system"]["requires"]],
    "infra": [
        *RUNTIME,
        *EXTRAS,
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["dependency-groups"]["infra"],
    ],
    "lambda": PROJECT["dependency-groups"]["lambda"],
    "lock": PROJECT["dependency-groups"]["lock"],
}
PIN = re.compile(
    r"^(?P<requirement>[^ #\\][^\\]*?) ?(?P<hashes>(?:\\\n    --hash=sha256:[0-9a-f]{64} ?)*)$", re.MULTILINE
)


def pins(name: str) -> list[tuple[Requirement, int]]:
    """Each pinned requirement of a lock with the number of its hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return [
        (Requirement(found["requirement"]), found["hashes"].count("--hash")) for found in PIN.finditer(text)
    ]


def environments() -> list[dict[str, str]]:
    return [
        {
            **{key: str(value) for key, value in default_environment().items()},
            "python_version": f"3.{minor}",
            "python_full_version": f"3.{minor}.1",
            "sys_platform": system.lower(),
            "platform_system": system,
            "platform_machine": machine,
        }
        for minor in (11, 12, 13, 14)
        for system in ("Linux", "Darwin")
        for machine in ("x86_64", "aarch64" if system == "Linux" else "arm64")
    ]


@pytest.mark.parametrize("name", DIRECT)
def test_every_line_of_a_lock_is_an_exact_version_with_hashes(name: str) -> None:
    lines = [
        line
        for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        if line[:1].strip(" #")
    ]

    loose = [
        str(pin)
        for pin, hashes in pins(name)
        if not re.fullmatch(r"==[\w.+!]+", str(pin.specifier)) or not hashes
    ]

    assert len(pins(name)) == len(lines) > 0
    assert loose == []


@pytest.mark.parametrize(
    "environment",
    environments(),
    ids=lambda e: f"{e['python_version']}-{e['sys_platform']}-{e['platform_machine']}",
)
@pytest.mark.parametrize("name", DIRECT)
def test_what_pyproject_asks_for_is_pinned_once_for_every_interpreter_and_machine(
    name: str, environment: dict[str, str]
) -> None:
    """Otherwise `make lock` was forgotten after a change of pyproject.toml."""
    held: dict[str, list[str]] = {}
    for pin, _ in pins(name):
        if pin.marker is None or pin.marker.evaluate(environment):
            held.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))

    missing = [
        line
        for line in DIRECT[name]
        if (wanted := Requirement(line)).marker is None or wanted.marker.evaluate(environment)
        if not any(
            wanted.specifier.contains(version) for version in held.get(canonicalize_name(wanted.name), [])
        )
    ]

    assert missing == []
    assert {package: versions for package, versions in held.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("name", ["runtime", "lambda"])
def test_what_is_delivered_has_the_versions_that_were_tested(name: str) -> None:
    tested = {str(pin) for pin, _ in pins("dev")}

    untested = [str(pin) for pin, _ in pins(name) if str(pin) not in tested]

    assert untested == []
