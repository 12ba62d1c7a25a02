"""An index serves a query where it does more than to find the rows of the tenant."""

from __future__ import annotations

from typing import Any

import pytest

from dbschema.testing.plans import serves

ONLY_THE_TENANT = {
    "as the policy's sub-select": "(tenant_id = $0)",
    "as PostgreSQL 17 writes a sub-select": "(tenant_id = (InitPlan 1).col1)",
    "as the session states it": "(tenant_id = '00000000-0000-7000-8000-000000000001'::uuid)",
    "twice": "((tenant_id = $0) AND (tenant_id = '00000000-0000-7000-8000-000000000001'::uuid))",
    "of the setting itself": "(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)",
    "of a text with parentheses": "((tenant_id = f(')) AND (title = x'::text)) AND (tenant_id = $0))",
}
MORE = {
    "an equality": "((tenant_id = $0) AND (domain_id = 'roads'::text))",
    "an equality that comes first": "((domain_id = 'roads'::text) AND (tenant_id = $0))",
    "a cast": "((tenant_id = $0) AND ((status)::text = 'open'::text))",
    "a cast alone": "((status)::text = 'open'::text)",
    "a short name": "((tenant_id = $0) AND (n = 1))",
    "a comparison of rows": "((tenant_id = $0) AND (ROW(created_at, id) > ROW(now(), $1)))",
    "words": "((tenant_id = $0) AND (to_tsvector('simple'::regconfig, (title || ' '::text)) @@ '''w17'''::tsquery))",
}


def scan(condition: str, **more: Any) -> dict[str, Any]:
    return {"Node Type": "Bitmap Index Scan", "Index Cond": condition, **more}


@pytest.mark.parametrize("condition", ONLY_THE_TENANT.values(), ids=ONLY_THE_TENANT)
@pytest.mark.parametrize("kind", ["Bitmap Index Scan", "Index Scan"])
def test_an_index_that_finds_the_tenant_alone_does_not_serve(condition: str, kind: str) -> None:
    served = serves(scan(condition, **{"Node Type": kind, "Filter": "(title = 'x')"}), ordered=False)

    assert not served


@pytest.mark.parametrize("condition", MORE.values(), ids=MORE)
def test_an_index_that_finds_more_than_the_tenant_serves(condition: str) -> None:
    served = serves(scan(condition), ordered=False)

    assert served


def test_an_index_that_gives_the_order_serves() -> None:
    by_key = {"Node Type": "Index Scan", "Index Cond": "(tenant_id = $0)", "Filter": "(title = 'x')"}
    by_distance = {"Node Type": "Index Scan", "Order By": "(location <-> $1)"}

    assert serves(by_key, ordered=True)
    assert serves(by_distance, ordered=False)


def test_all_rows_of_the_tenant_are_what_a_query_without_conditions_asks_for() -> None:
    scanned = {"Node Type": "Index Only Scan", "Index Cond": "(tenant_id = $0)"}

    assert serves(scanned, ordered=False)
    assert not serves({"Node Type": "Index Scan"}, ordered=False)
