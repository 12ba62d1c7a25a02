"""Deployments whose functions find the database by parameters of the parameter store, as the stack of infra/ writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stack import Stack


def test_parameters_and_the_secret_that_they_name_lead_to_the_database(stack: Stack) -> None:
    """From CloudFormation on: the endpoint, the port, the name and the ARN come from the store, the login from the secret."""
    stack.write_parameters()

    created = stack.deploy("Create")
    before = stack.physical_id
    updated = stack.deploy("Update")

    assert (created.status, created.data.get("Outcome")) == ("SUCCESS", "upgraded"), created.reason
    assert created.physical_id == f"dbschema:{stack.host}:{stack.database}" == before
    assert (updated.status, updated.data["Outcome"]) == ("SUCCESS", "current")
    assert stack.versions() == [stack.head]


def test_a_password_that_was_rotated_is_found_by_parameters_too(stack: Stack) -> None:
    stack.migrated()
    stack.write_parameters()
    stack.deploy("Create")
    stack.change_password(tell=True)

    answer = stack.finish(stack.begin("Update"))

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "current"), answer.reason


@pytest.mark.parametrize("missing", ["endpoint", "name", "credentials-arn"])
def test_a_parameter_that_is_missing_is_told_by_name_and_nothing_is_changed(
    stack: Stack, missing: str
) -> None:
    stack.write_parameters(missing)

    answer = stack.deploy("Create")

    assert answer.status == "FAILED"
    assert f"{stack.variables['DB_SSM_PREFIX']}/{missing}" in answer.reason
    assert stack.versions() == []
    assert stack.tables() == set()
