"""Check the group `nearest`: an index returns the tenant's rows nearest to a place in order."""

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

# A place in the Atlantic, probably without rows of tenants; distances in degrees of longitude.
PLACE = (-30.0, 0.0)
DISTANCES = (0.03, 0.01, 0.02, 0.05, 0.04)


def check(recorder: Recorder, fixture: TwoTenantFixture) -> None:
    """Check each GiST index on a place."""
    for table in fixture.tables:
        for index, column in _indexes(table):
            recorder.run("nearest", f"{table.fullname}.{column}", _check(fixture, table, column, index))


def _indexes(table: Table) -> Iterator[tuple[str, str]]:
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if isinstance(index, Index) and index.dialect_options["postgresql"]["using"] == "gist":
            for column in index.columns:
                if isinstance(column.type, GeographyPoint):
                    yield str(index.name), column.name


def _check(fixture: TwoTenantFixture, table: Table, column: str, index: str) -> Callable[[], str]:
    def run() -> str:
        fixture.become(fixture.theirs)
        fixture.insert(table, fixture.theirs, **{column: _point(0)})
        fixture.become(fixture.mine)
        ids = {
            distance: fixture.insert(table, fixture.mine, **{column: _point(distance)})
            for distance in DISTANCES
        }
        expected = [str(ids[distance]) for distance in sorted(DISTANCES)[:3]]
        # Disable sorting, so that the planner uses the index for few rows, too.
        execute(fixture.connection, "SET LOCAL enable_sort = off")
        order = f"ORDER BY {quote(column)} <-> '{_point(0)}' LIMIT {len(expected)}"
        query = samples.select(table, "id::text", f"tenant_id = '{fixture.mine}' {order}")
        actual = [row[0] for row in execute(fixture.connection, query)]
        if actual != expected:
            raise Unmet(f"the nearest {len(expected)} of {len(ids)} rows come in another order")
        plan = execute(fixture.connection, f"EXPLAIN (FORMAT JSON, COSTS OFF) {query}").scalar_one()
        used = [node["Index Name"] for node in _nodes(plan[0]["Plan"]) if "Index Name" in node]
        if index not in used:
            raise Unmet(
                f"found in order, but by {', '.join(used) or 'reading all rows'} and sorting, and not by {index}"
            )
        return f"{len(actual)} found in order, by {index}"

    return run


def _point(east: float) -> str:
    return f"SRID=4326;POINT({PLACE[0] + east} {PLACE[1]})"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
