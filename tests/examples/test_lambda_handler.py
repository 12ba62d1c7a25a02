"""The example for AWS Lambda: one execution environment serves one tenant after the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from dbschema.sessions.errors import BadIdentity

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


def event(tenant_id: object) -> dict[str, Any]:
    claims = {"custom:tenant_id": str(tenant_id)}
    return {
        "requestContext": {"authorizer": {"jwt": {"claims": claims}}},
        "body": json.dumps({"domain_id": "roads", "title": "Pothole"}),
    }


def test_invocations_of_several_tenants_share_a_connection_and_nothing_else(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID]
) -> None:
    module = load("lambda_handler/handler.py")
    mine, theirs = tenants

    counted = [json.loads(module.handler(event(one), None)["body"]) for one in (mine, theirs, mine, mine)]

    assert counted == [{"open": 1}, {"open": 1}, {"open": 2}, {"open": 3}]
    with module.engine().connect() as connection:
        assert connection.scalar(text("SELECT current_setting('app.tenant_id', true)")) == ""
        connections = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user"
        assert connection.scalar(text(connections)) == 1
    module.engine().dispose()


@pytest.mark.parametrize("title", ["null \x00 byte", "half a character: \ud800"])
def test_what_cannot_be_stored_is_the_clients_error(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID], title: str
) -> None:
    module = load("lambda_handler/handler.py")
    given = {**event(tenants[0]), "body": json.dumps({"domain_id": "roads", "title": title})}

    answer = module.handler(given, None)

    assert answer["statusCode"] == 422
    assert json.loads(module.handler(event(tenants[0]), None)["body"]) == {"open": 1}
    module.engine().dispose()


def test_a_token_without_a_tenant_is_refused(load: Callable[[str], Any], application_url: str) -> None:
    module = load("lambda_handler/handler.py")

    with pytest.raises(BadIdentity, match="is not the id of a tenant"):
        module.handler(event("nobody"), None)

    module.engine().dispose()
