"""The example with FastAPI: two tenants at once, on the connections of one pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text

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


@pytest.mark.asyncio
async def test_a_request_that_fails_leaves_nothing_behind(
    load: Callable[[str], Any], tenants: tuple[UUID, UUID]
) -> None:
    module = load("fastapi_app/app.py")
    transport = httpx.ASGITransport(module.app, raise_app_exceptions=False)
    async with (
        module.lifespan(module.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answer = await client.post(
            "/incidents", headers=headers(tenants[0]), json={"domain_id": "roads", "title": "null \x00 byte"}
        )
        after = await client.get("/incidents", headers=headers(tenants[0]))
        async with module.app.state.engine.connect() as connection:
            standing = await connection.scalar(text("SELECT current_setting('app.tenant_id', true)"))

    assert (answer.status_code, after.json(), standing or None) == (500, [], None)
