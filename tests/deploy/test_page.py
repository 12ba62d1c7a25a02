"""What docs/deploy.md says of the function is what the function does."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from dbschema import errors as shared_errors
from dbschema.connect import errors as connect_errors
from dbschema.errors import DbSchemaError
from dbschema.migrations import errors as migration_errors
from dbschema.migrations.timeouts import ENVIRONMENT
from dbschema.tools import application
from dbschema.tools.deploy import configuration, errors
from dbschema.tools.deploy.events import ACTIONS, parse
from dbschema.tools.deploy.responses import MESSAGE
from lambda_runtime import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


SETTINGS = [
    *(value for value in vars(configuration).values() if str(value).startswith("DBSCHEMA_")),
    application.VARIABLE,
]


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_described(name: str) -> None:
    assert f"| `{name}` |" in PAGE


def test_no_setting_is_described_that_does_not_exist() -> None:
    known = {*SETTINGS, *ENVIRONMENT.values()}

    assert set(re.findall(r"\bDBSCHEMA_[A-Z_]+", PAGE)) <= known


def test_each_error_of_the_function_is_described_and_each_that_is_described_exists() -> None:
    own = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, DbSchemaError) and kind.__module__ == errors.__name__
    } - {"DeployError"}
    rows = PAGE.partition("| `errorType` |")[2].partition("\n\n")[0].splitlines()[2:]
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert own <= described
    for name in described - {"ImportError", "ModuleNotFoundError"}:
        assert any(
            hasattr(module, name) for module in (errors, shared_errors, connect_errors, migration_errors)
        ), name


def test_each_event_of_the_page_is_understood() -> None:
    events = [json.loads(text) for text in re.findall(r"\| `(\{.*?\})` \|", PAGE)]

    assert {parse(event).action for event in events} == set(ACTIONS)


def test_the_answer_of_the_page_is_one() -> None:
    (answer,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))

    assert answer["message"] == MESSAGE
    assert list(answer) == ["message", "ok", "database", "revision", "before", "applied", "differences"]
