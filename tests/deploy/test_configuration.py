"""The variables of the function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbschema.errors import BadSetting
from dbschema.tools.deploy.configuration import Configuration, local_response, mode, responder_mode

if TYPE_CHECKING:
    from pathlib import Path


def test_without_variables_it_is_careful() -> None:
    found = Configuration.from_environment({})

    assert found == Configuration(allow_downgrade=False, scripts=None, compare=True, tracing=False)
    assert mode({}) == "provider"
    assert not local_response({})


def test_each_has_a_variable(tmp_path: Path) -> None:
    scripts = tmp_path / "shop" / "alembic"
    scripts.mkdir(parents=True)
    (scripts / "env.py").touch()
    environment = {
        "DBSCHEMA_ALLOW_DOWNGRADE": "1",
        "DBSCHEMA_COMPARE": "0",
        "DBSCHEMA_TRACING": "true",
        "DBSCHEMA_SCRIPT_LOCATION": "shop/alembic",
        "LAMBDA_TASK_ROOT": str(tmp_path),
    }

    found = Configuration.from_environment(environment)

    assert found == Configuration(allow_downgrade=True, scripts=scripts, compare=False, tracing=True)
    assert mode({"DBSCHEMA_CLOUDFORMATION_MODE": " Direct "}) == "direct"


def test_a_database_with_revisions_of_an_application_is_not_compared_with_our_models_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "env.py").touch()

    assert not Configuration.from_environment({"DBSCHEMA_SCRIPT_LOCATION": str(tmp_path)}).compare


def test_scripts_that_are_not_there_are_told() -> None:
    with pytest.raises(
        BadSetting,
        match=r"names 'nowhere', which is neither. Set it to an alembic.ini, or a folder with env.py",
    ):
        Configuration.from_environment({"DBSCHEMA_SCRIPT_LOCATION": "nowhere"})


@pytest.mark.parametrize("name", ["DBSCHEMA_ALLOW_DOWNGRADE", "DBSCHEMA_COMPARE", "DBSCHEMA_TRACING"])
def test_a_value_that_is_not_known_is_told_without_it(name: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} .* Set it to 1 or 0") as caught:
        Configuration.from_environment({name: "s3cr3t"})

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "directly", "who", "wrong"),
    [
        ("", False, "provider", False),
        ("direct", False, "direct", False),
        ("direct", True, "direct", False),
        ("provider", True, "direct", True),
        ("directly", True, "direct", True),
        ("directly", False, "provider", True),
    ],
)
def test_whoever_is_called_by_cloudformation_itself_answers_it(
    value: str, directly: bool, who: str, wrong: bool
) -> None:
    found, error = responder_mode(called_directly=directly, environ={"DBSCHEMA_CLOUDFORMATION_MODE": value})

    assert (found, error is not None) == (who, wrong)


def test_a_mode_that_is_not_known_is_no_mode() -> None:
    with pytest.raises(BadSetting, match=r"DBSCHEMA_CLOUDFORMATION_MODE .* provider or direct"):
        mode({"DBSCHEMA_CLOUDFORMATION_MODE": "directly"})
