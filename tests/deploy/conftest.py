"""The function as Lambda runs it, what it needs around it, and places where CloudFormation waits for an answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "deploy")]

import connect.conftest as stand_ins  # noqa: E402  as above
import migrations.conftest as histories  # noqa: E402  as above
from cloudformation import Waiting, waiting_cloudformation  # noqa: E402  found by the line above
from lambda_runtime import Function  # noqa: E402  as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connect.conftest import Role


# Fixtures of the folders beside this one.
aws, credentials, moto_url = stand_ins.aws, stand_ins.credentials, stand_ins.moto_url
dead_port, role, sleeping = stand_ins.dead_port, stand_ins.role, stand_ins.sleeping
write_history = histories.write_history
compiles = histories.compiles


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


@pytest.fixture
def owner(role: Role) -> Iterator[Role]:
    """A role that may bring its database to the head."""
    role.execute(f"GRANT CREATE ON SCHEMA public TO {role.name}")
    yield role
    role.execute(f"DROP OWNED BY {role.name}")


@pytest.fixture
def plain_url(new_database: Callable[..., str]) -> str:
    """An empty database, as psql reads its address."""
    return new_database(driver="")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that revisions wait for."""
    return tmp_path / "gate"
