"""Read the plan of a query from PostgreSQL, and assert that an index serves it."""

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
    FROM pg_catalog.pg_index AS expected
    JOIN pg_catalog.pg_class AS named ON named.oid = expected.indexrelid AND named.relname = :name
    JOIN pg_catalog.pg_index AS i ON i.indrelid = expected.indrelid AND i.indexrelid <> expected.indexrelid
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    WHERE pg_table_is_visible(named.oid) AND pg_has_role(current_user, t.relowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conindid = i.indexrelid)
    """
)


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement: PostgreSQL plans it and does not execute it."""

    inherit_cache = False

    def __init__(self, statement: Executable) -> None:
        self.statement = statement


@compiles(_Explain)
def _compile(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"  # type: ignore[arg-type]  # every statement is a ClauseElement


def assert_uses_index(
    session: Session | Connection, query: Executable, name: str, *, costs: bool = False
) -> None:
    """Assert that the index `name` serves `query` in this session, and that the plan has no sequential scan.

    For the small tables of a test, PostgreSQL would choose a sequential scan or any index. So this function discourages
    sequential scans and hides the other indexes of the table, except the indexes of constraints. An index that does not
    serve the query then can never serve it. The usual reason is a condition that row-level security (RLS) does not pass to
    an index, because its operator is not leakproof.

    Args:
        session: a session with the role and the tenant of the application. If its login does not own the table, the other
            indexes are not hidden. All changes are rolled back; the table is locked meanwhile.
        query: a SELECT, UPDATE or DELETE.
        name: the name of the index.
        costs: whether to use the plan that the planner prefers, for a test with as many rows as production.

    Raises:
        AssertionError: the index does not serve the query; the message shows the plan.
    """
    connection = session.connection() if isinstance(session, Session) else session
    with connection.begin_nested() as savepoint:
        if not costs:
            _hide_other_indexes(connection, name)
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        (plan,) = connection.execute(_Explain(query)).scalar_one()
        savepoint.rollback()
    nodes = list(_nodes(plan["Plan"]))
    plan_text = "\n".join(f"  {line}" for line in _lines(plan["Plan"]))
    scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    assert not scanned, f"{', '.join(scanned)} is read with a sequential scan:\n{plan_text}"  # noqa: S101  an assertion for tests
    ordered = has_order_by(query) and not any("Sort" in node["Node Type"] for node in nodes)
    serving = {node["Index Name"] for node in nodes if "Index Name" in node and serves(node, ordered=ordered)}
    assert name in serving, f"the index {name} does not serve the query:\n{plan_text}"  # noqa: S101  as above


def serves(node: dict[str, Any], *, ordered: bool) -> bool:
    """Return whether an index does more than find all rows of the tenant, most of which a filter then discards.

    Every index whose first column is the tenant can find these rows. Which of them the planner chooses depends on their
    current sizes, so its use proves nothing about the query.

    Args:
        node: a node of a plan that reads an index.
        ordered: whether the query has an order that only an index can provide, because the plan has no sort.
    """
    if "Order By" in node or (ordered and "Index Cond" in node):
        return True
    conditions = list(_conjuncts(node.get("Index Cond", "")))
    if any(not condition.startswith(_TENANT) for condition in conditions):
        return True
    return bool(conditions) and "Filter" not in node and node["Node Type"] != "Bitmap Index Scan"


def _conjuncts(condition: str) -> Iterator[str]:
    """Split a condition of EXPLAIN, `((a = 1) AND (b = f(2)))` or `(a = 1)`, into its parts without parentheses."""
    bare = _QUOTED.sub("''", condition)  # a parenthesis in a literal does not count
    if not bare.startswith("(("):
        yield from filter(None, [bare[1:-1]])
        return
    depth, start = 0, 0
    for at, character in enumerate(bare):
        depth += (character == "(") - (character == ")")
        if character == "(" and depth == 2:
            start = at + 1
        elif character == ")" and depth == 1 and start:
            yield bare[start:at]
            start = 0


def _hide_other_indexes(connection: Connection, name: str) -> None:
    """Drop the other indexes of the table within the caller's savepoint, if the login owns them."""
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
