"""The function as Lambda runs it, what it needs around it, and places where CloudFormation waits for an answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from cloudformation import Waiting, waiting_cloudformation  # noqa: E402  found by the line above
from connect.conftest import Role, aws, credentials, moto_url, role  # noqa: E402, F401  as above
from lambda_runtime import Function  # noqa: E402  as above
from migrations.conftest import write_history  # noqa: E402, F401  as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start_function() -> Iterator[Callable[..., Function]]:
    """Makes functions with the variables that are given; `handler` names another entry."""
    functions: list[Function] = []

    def start(handler: str = "lambda_entry.handler", **environment: str) -> Function:
        function = Function(ROOT, environment, handler=handler, path=(ROOT / "src",))
        functions.append(function)
        return function

    yield start
    for function in functions:
        function.stop()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """CloudFormation, waiting for an answer."""
    with waiting_cloudformation() as found:
        yield found
