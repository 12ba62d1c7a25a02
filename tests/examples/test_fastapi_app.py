"""The example with FastAPI: two tenants at once, on the connections of one pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text

from dbschema.sessions import AsyncTenantSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


def headers(tenant_id: UUID) -> dict[str, str]:
    return {"X-Tenant-Id": str(tenant_id)}


@pytest.mark.asyncio
async def test_two_tenants_at_once_see_their_own_incidents(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID]
) -> None:
    module = load("fastapi_app/app.py")
    transport = httpx.ASGITransport(module.app)
    async with (
        module.lifespan(module.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):

        async def report(tenant_id: UUID, number: int) -> str:
            answer = await client.post(
                "/incidents", headers=headers(tenant_id), json={"domain_id": "roads", "title": f"{number}"}
            )
            assert answer.status_code == 201, answer.text
            assert answer.json()["status"] == "open"
            return str(answer.json()["id"])

        made = await asyncio.gather(*(report(tenants[number % 2], number) for number in range(20)))
        lists = await asyncio.gather(*(client.get("/incidents", headers=headers(one)) for one in tenants * 5))
        foreign = await client.get(f"/incidents/{made[0]}", headers=headers(tenants[1]))
        own = await client.get(f"/incidents/{made[0]}", headers=headers(tenants[0]))

        for number, answer in enumerate(lists):
            assert {item["id"] for item in answer.json()} == set(made[number % 2 :: 2])
        assert (foreign.status_code, own.status_code) == (404, 200)


@pytest.mark.asyncio
async def test_a_request_without_a_tenant_or_with_none_that_can_be_read_is_refused(
    load: Callable[[str], Any], application_url: str
) -> None:
    module = load("fastapi_app/app.py")
    transport = httpx.ASGITransport(module.app)
    async with (
        module.lifespan(module.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        nobody = await client.get("/incidents")
        hostile = await client.get("/incidents", headers={"X-Tenant-Id": "' OR true --"})

    assert (nobody.status_code, hostile.status_code) == (422, 422)


HOSTILE: dict[str, dict[str, Any]] = {
    "NUL in the body": {"json": {"domain_id": "roads", "title": "null \x00 byte"}},
    "NUL in another field": {"json": {"domain_id": "\x00", "title": "x"}},
    "NUL in the tenant": {"headers": {"X-Tenant-Id": "\x000192d4e0-7b1a-7000-8000-000000000000"}},
    "NUL in the path": {"method": "GET", "url": "/incidents/%00"},
    "half a character": {"content": b'{"domain_id": "roads", "title": "\\ud800"}'},
    "no UTF-8": {"content": b'{"domain_id": "roads", "title": "\xff"}'},
    "a number": {"json": {"domain_id": 7, "title": "x"}},
}


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", HOSTILE.values(), ids=HOSTILE)
async def test_what_cannot_be_stored_is_the_clients_error_and_leaves_nothing_behind(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID], request_: dict[str, Any]
) -> None:
    module = load("fastapi_app/app.py")
    transport = httpx.ASGITransport(module.app, raise_app_exceptions=False)
    given = {
        "method": "POST",
        "url": "/incidents",
        "json": None if "content" in request_ else {"domain_id": "roads", "title": "x"},
        **request_,
        "headers": {"Content-Type": "application/json", **headers(tenants[0]), **request_.get("headers", {})},
    }
    async with (
        module.lifespan(module.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answer = await client.request(**given)
        after = await client.get("/incidents", headers=headers(tenants[0]))

    assert (answer.status_code // 100, after.json()) == (4, [])


@pytest.mark.asyncio
async def test_a_request_that_fails_leaves_nothing_behind(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("fastapi_app/app.py")
    transport = httpx.ASGITransport(module.app, raise_app_exceptions=False)

    async def fail(session: AsyncTenantSession) -> None:
        await session.flush()
        raise RuntimeError("in the middle of the transaction")

    async with (
        module.lifespan(module.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        monkeypatch.setattr(AsyncTenantSession, "commit", fail)
        answer = await client.post(
            "/incidents", headers=headers(tenants[0]), json={"domain_id": "roads", "title": "x"}
        )
        after = await client.get("/incidents", headers=headers(tenants[0]))
        async with module.app.state.engine.connect() as connection:
            standing = await connection.scalar(text("SELECT current_setting('app.tenant_id', true)"))

    assert (answer.status_code, after.json(), standing or None) == (500, [], None)
