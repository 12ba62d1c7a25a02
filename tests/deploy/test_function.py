"""The function as Lambda runs it: the real runtime client over HTTP, and a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema.migrations.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_runtime import Function

HEAD = str(History().head)


def test_a_plain_invoke_brings_an_empty_database_to_the_head(
    start_function: Callable[..., Function], fresh_database: str
) -> None:
    function = start_function(DATABASE_URL=fresh_database)

    answer = function.invoke({})

    assert answer.payload["statusCode"] == 200
    assert set(answer.payload) == {"statusCode", "body"}
    assert answer.body["message"] == "Database schema initialized successfully"
    assert answer.body["revision"] == HEAD
