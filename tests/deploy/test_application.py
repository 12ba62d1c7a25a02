"""The function upgrades an application's tables too, where it is told of its lines of revisions and its models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from following import rows, tables

from cloudformation import cloudformation

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from lambda_runtime import Function

SHOP = Path(__file__).parents[2] / "examples" / "own_tables"


def variables(url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "DBSCHEMA_SCRIPT_LOCATION": str(SHOP / "alembic.ini"),
        "DBSCHEMA_MODELS": "shop.models",
        "PYTHONPATH": str(SHOP),
    }


def test_both_lines_are_applied_compared_and_told(
    start_function: Callable[..., Function], plain_url: str
) -> None:
    function = start_function(**variables(plain_url))

    pending = function.invoke({"action": "status"}).body
    made = function.invoke({"action": "upgrade"}).body
    again = function.invoke(cloudformation("Update")).payload
    checked = function.invoke({"action": "check"}).body
    verified = function.invoke({"action": "verify"}).body
    status = function.invoke({"action": "status"}).body

    assert pending["ok"] is False
    assert [one["id"] for one in made["applied"]] == [one["id"] for one in pending["pending"]]
    assert (made["ok"], made["differences"]) == (True, [])
    assert again["Data"]["Outcome"] == "current"
    assert (checked["ok"], checked["count"], verified["ok"]) == (True, 0, True)
    assert (status["ok"], status["head"], status["current"]) == (
        True,
        made["revision"],
        made["revision"].split(", "),
    )
    assert "invoices" in tables(plain_url)


def test_the_stack_names_the_heads_of_all_lines(
    start_function: Callable[..., Function], plain_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order, and also those on which another one stands, as the construct of the CDK app reads them."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # Alembic adds what the shop's alembic.ini says
    function = start_function(**variables(plain_url))
    (ours,), (theirs,) = _revisions()

    created = function.invoke(cloudformation("Create", properties={"HeadRevision": f"{ours}, {theirs}"}))
    wrong = function.invoke(cloudformation("Update", properties={"HeadRevision": f"{ours}, 0123456789ab"}))

    assert created.payload["Data"]["Outcome"] == "upgraded"
    assert "HeadRevision asks for" in wrong.text
    assert "0123456789ab" in wrong.text
    assert wrong.error == "UnknownRevision"


def test_a_database_with_both_lines_is_newer_to_a_function_that_knows_one(
    start_function: Callable[..., Function], plain_url: str
) -> None:
    start_function(**variables(plain_url)).invoke({"action": "upgrade"})
    before = rows(plain_url, "SELECT version_num FROM alembic_version")

    answer = start_function(DATABASE_URL=plain_url).invoke({"action": "upgrade"}).body

    assert answer["ok"] is False
    assert "Nothing was done" in answer["message"]
    assert rows(plain_url, "SELECT version_num FROM alembic_version") == before


def _revisions() -> tuple[list[str], list[str]]:
    """The revisions of dbschema, and those of the shop."""
    from dbschema.migrations.history import History  # noqa: PLC0415  reads the files

    ours = [one.id for one in History().revisions]
    both = [one.id for one in History(SHOP / "alembic.ini").revisions]
    return ours, [one for one in both if one not in ours]
