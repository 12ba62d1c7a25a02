"""Asks PostgreSQL how it would answer a query, and whether an index serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.compiler import SQLCompiler

_SERVING = ("Index Cond", "Order By", "Recheck Cond")


class _Explain(Executable, ClauseElement):
    """A statement, to be planned and not executed."""

    inherit_cache = False

    def __init__(self, statement: Executable) -> None:
        self.statement = statement


@compiles(_Explain)
def _compile(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"  # type: ignore[arg-type]  # every statement is one


def assert_uses_index(
    session: Session | Connection, query: Executable, name: str, *, costs: bool = False
) -> None:
    """Fail unless `query`, as this session would run it, is served by the index `name`, and reads no table through.

    The tables of a test are small, and PostgreSQL would rightly read them through; so it is told to avoid that wherever it
    can. What is then still read through, no index could serve: the usual reason is a condition that row security does
    not let an index see (PERFORMANCE: operators that are not leakproof).

    Args:
        session: with the role and the tenant of the application; the settings made here are rolled back.
        query: a SELECT, UPDATE or DELETE.
        name: of the index.
        costs: take the plan as the planner's costs have it, for a test with as many rows as production has.

    Raises:
        AssertionError: shows the plan.
    """
    connection = session.connection() if hasattr(session, "connection") else session
    with connection.begin_nested() as savepoint:
        if not costs:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        (plan,) = connection.execute(_Explain(query)).scalar_one()
        savepoint.rollback()
    nodes = list(_nodes(plan["Plan"]))
    shown = "\n".join(f"  {line}" for line in _lines(plan["Plan"]))
    through = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    assert not through, f"{', '.join(through)} is read through:\n{shown}"  # noqa: S101  what it is for
    serving = {
        node["Index Name"] for node in nodes if "Index Name" in node and any(key in node for key in _SERVING)
    }
    assert name in serving, f"the index {name} does not serve the query:\n{shown}"  # noqa: S101  as above


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _lines(plan: dict[str, Any], depth: int = 0) -> Iterator[str]:
    place = plan.get("Index Name") or plan.get("Relation Name") or ""
    conditions = [f"{key}: {plan[key]}" for key in (*_SERVING, "Filter") if key in plan]
    yield "  " * depth + "  ".join(filter(None, [plan["Node Type"], place, *conditions]))
    for child in plan.get("Plans", ()):
        yield from _lines(child, depth + 1)
