"""Asks PostgreSQL how it would answer a query, and whether an index serves it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from dbschema._sqlalchemy import has_order_by
from dbschema.ddl.base import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.sql.compiler import SQLCompiler

_SHOWN = ("Index Cond", "Order By", "Recheck Cond", "Filter")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_TENANT = "tenant_id = "
_OTHERS = text(
    """
    SELECT i.indexrelid::regclass
    FROM pg_catalog.pg_index AS wanted
    JOIN pg_catalog.pg_class AS named ON named.oid = wanted.indexrelid AND named.relname = :name
    JOIN pg_catalog.pg_index AS i ON i.indrelid = wanted.indrelid AND i.indexrelid <> wanted.indexrelid
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    WHERE pg_table_is_visible(named.oid) AND pg_has_role(current_user, t.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conindid = i.indexrelid)
    """
)


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

    The tables of a test are small, and PostgreSQL would rightly read them through, or take any index; so it is told to
    avoid reading through, and the other indexes of the table are out of its sight, but for those of constraints. What
    the index then does not serve, it never can: the usual reason is a condition that row security does not let an index
    see, because its operator is not leakproof.

    Args:
        session: with the role and the tenant of the application, on a connection whose login owns the table or not: where
            it does not, the other indexes compete. All that is done here is rolled back; the table is locked meanwhile.
        query: a SELECT, UPDATE or DELETE.
        name: of the index.
        costs: take the plan as the planner's costs have it, for a test with as many rows as production has.

    Raises:
        AssertionError: shows the plan.
    """
    connection = session.connection() if isinstance(session, Session) else session
    with connection.begin_nested() as savepoint:
        if not costs:
            _hide_the_others(connection, name)
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        (plan,) = connection.execute(_Explain(query)).scalar_one()
        savepoint.rollback()
    nodes = list(_nodes(plan["Plan"]))
    shown = "\n".join(f"  {line}" for line in _lines(plan["Plan"]))
    through = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    assert not through, f"{', '.join(through)} is read through:\n{shown}"  # noqa: S101  what it is for
    ordered = has_order_by(query) and not any("Sort" in node["Node Type"] for node in nodes)
    serving = {node["Index Name"] for node in nodes if "Index Name" in node and serves(node, ordered=ordered)}
    assert name in serving, f"the index {name} does not serve the query:\n{shown}"  # noqa: S101  as above


def serves(node: dict[str, Any], *, ordered: bool) -> bool:
    """Whether an index does more than to find all rows of the tenant, of which most are then thrown away.

    Any index that begins with the tenant can do that, and which of them is the cheapest depends on how large each is at the
    moment: that one is used says nothing of the query.

    Args:
        node: of a plan, one that reads an index.
        ordered: the query asks for an order, which nothing but an index makes.
    """
    if "Order By" in node or (ordered and "Index Cond" in node):
        return True
    conditions = list(_conjuncts(node.get("Index Cond", "")))
    if any(not condition.startswith(_TENANT) for condition in conditions):
        return True
    return bool(conditions) and "Filter" not in node and node["Node Type"] != "Bitmap Index Scan"


def _conjuncts(condition: str) -> Iterator[str]:
    """The parts of a condition as EXPLAIN shows it, `((a = 1) AND (b = f(2)))` or `(a = 1)`, without their parentheses."""
    bare = _QUOTED.sub("''", condition)  # what is in a literal is no parenthesis
    if not bare.startswith("(("):
        yield from filter(None, [bare[1:-1]])
        return
    depth, begun = 0, 0
    for at, character in enumerate(bare):
        depth += (character == "(") - (character == ")")
        if character == "(" and depth == 2:
            begun = at + 1
        elif character == ")" and depth == 1 and begun:
            yield bare[begun:at]
            begun = 0


def _hide_the_others(connection: Connection, name: str) -> None:
    """Drop the other indexes of the table, in the savepoint of the caller, where the login owns them."""
    role = connection.scalar(text("SELECT current_user"))
    connection.execute(text("SET LOCAL ROLE NONE"))
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    for other in connection.scalars(_OTHERS, {"name": name}).all():
        connection.execute(text(f"DROP INDEX {other}".replace(":", r"\:")))
    connection.execute(text(f"SET LOCAL ROLE {quote(role)}".replace(":", r"\:")))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _lines(plan: dict[str, Any], depth: int = 0) -> Iterator[str]:
    place = plan.get("Index Name") or plan.get("Relation Name") or ""
    conditions = [f"{key}: {plan[key]}" for key in _SHOWN if key in plan]
    yield "  " * depth + "  ".join(filter(None, [plan["Node Type"], place, *conditions]))
    for child in plan.get("Plans", ()):
        yield from _lines(child, depth + 1)
