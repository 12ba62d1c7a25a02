"""The group `nearest`: the rows nearest to a place are found in order, among the tenant's own, through their index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Index

from dbschema.ddl.base import quote
from dbschema.orm.geography import GeographyPoint
from dbschema.verify.behaviour import samples
from dbschema.verify.report import Unmet, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Table

    from dbschema.verify.behaviour.fixture import TwoTenantFixture
    from dbschema.verify.report import Recorder

# In the middle of the Atlantic, where nobody's rows are likely to be; degrees of longitude away from it.
PLACE = (-30.0, 0.0)
DISTANCES = (0.03, 0.01, 0.02, 0.05, 0.04)


def check(recorder: Recorder, stage: TwoTenantFixture) -> None:
    """Make a check for each GiST index over a place."""
    for table in stage.tables:
        for index, column in _indexes(table):
            recorder.ask("nearest", f"{table.fullname}.{column}", _question(stage, table, column, index))


def _indexes(table: Table) -> Iterator[tuple[str, str]]:
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if isinstance(index, Index) and index.dialect_options["postgresql"]["using"] == "gist":
            for column in index.columns:
                if isinstance(column.type, GeographyPoint):
                    yield str(index.name), column.name


def _question(stage: TwoTenantFixture, table: Table, column: str, index: str) -> Callable[[], str]:
    def ask() -> str:
        stage.become(stage.theirs)
        stage.insert(table, stage.theirs, **{column: _point(0)})
        stage.become(stage.mine)
        ids = {
            distance: stage.insert(table, stage.mine, **{column: _point(distance)}) for distance in DISTANCES
        }
        wanted = [str(ids[distance]) for distance in sorted(DISTANCES)[:3]]
        # Without sorting, only an index gives the order: a handful of rows would else be sorted.
        execute(stage.connection, "SET LOCAL enable_sort = off")
        order = f"ORDER BY {quote(column)} <-> '{_point(0)}' LIMIT {len(wanted)}"
        query = samples.select(table, "id::text", f"tenant_id = '{stage.mine}' {order}")
        found = [row[0] for row in execute(stage.connection, query)]
        if found != wanted:
            raise Unmet(f"the nearest {len(wanted)} of {len(ids)} rows come in another order")
        plan = execute(stage.connection, f"EXPLAIN (FORMAT JSON, COSTS OFF) {query}").scalar_one()
        used = [node["Index Name"] for node in _nodes(plan[0]["Plan"]) if "Index Name" in node]
        if index not in used:
            raise Unmet(
                f"found in order, but by {', '.join(used) or 'reading all rows'} and sorting, and not by {index}"
            )
        return f"{len(found)} found in order, by {index}"

    return ask


def _point(east: float) -> str:
    return f"SRID=4326;POINT({PLACE[0] + east} {PLACE[1]})"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
