"""Two servers with replication, for the tests of this folder and for `benchmarks/failover.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path[:0] = [str(Path(__file__).parent)]

from pair import Pair, is_possible  # noqa: E402  found by the line above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary with its standby, for one test alone, which may end either."""
    if not is_possible():
        pytest.skip("the second server needs the address 127.0.0.2: Linux has it, and so has CI")
    with Pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def lasting_pair() -> Iterator[Pair]:
    """A primary with its standby, for tests that leave the servers as they are."""
    if not is_possible():
        pytest.skip("the second server needs the address 127.0.0.2: Linux has it, and so has CI")
    with Pair() as pair:
        yield pair


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m dbschema` in an empty folder, as an installed program is run."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dbschema", *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call
