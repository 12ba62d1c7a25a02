"""Deployments through CDK's provider framework: what CloudFormation sends, what it is answered, where the database ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack import Stack


def test_create_migrates_an_empty_database(stack: Stack) -> None:
    answer = stack.deploy("Create")

    assert (answer.status, answer.data.get("Outcome")) == ("SUCCESS", "upgraded"), answer.reason
    assert stack.versions() == [stack.head]
    assert {"tenants", "incidents"} <= stack.tables()
