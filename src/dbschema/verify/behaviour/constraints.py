"""Check the groups `values`, `foreign keys` and `unique`: constraints reject wrong rows.

A CHECK constraint rejects the example of its model. A foreign key rejects a reference to a row of another tenant, and to
a tenant that does not exist. A unique constraint rejects a duplicate within a tenant, and accepts it in another one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import CheckConstraint, UniqueConstraint

from dbschema.orm.types import IMPLIED_BY, REJECTS
from dbschema.verify.behaviour.samples import as_text
from dbschema.verify.report import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ForeignKeyConstraint, MetaData, Table

    from dbschema.verify.behaviour.fixture import TwoTenantFixture
    from dbschema.verify.report import Attempt, Recorder


CHECK_VIOLATION = "23514"
NO_EXAMPLE = "not tried: declare a value that it rejects, with dbschema.checked(…, rejects={…})"
NO_TENANTS = "not tried: rows are written only into tables that keep tenants apart"


@dataclass(frozen=True)
class Example:
    """Values that a CHECK constraint rejects.

    Args:
        constraint: the name of the constraint.
        values: by column; the other columns of the row get sample values.
        rejected_by: names of the constraints that may reject the values: this one, and those that imply it.
    """

    constraint: str
    values: Mapping[str, Any]
    rejected_by: frozenset[str]


def check_values(recorder: Recorder, fixture: TwoTenantFixture, metadata: MetaData) -> None:
    """Check each table with examples; report each CHECK constraint that cannot be tried."""
    for table in fixture.tables:
        constraints = check_constraints(table)
        examples = [item for item in map(example, constraints) if item is not None]
        if examples:
            recorder.run("values", table.fullname, _values_check(fixture, table, examples))
        for constraint in constraints:
            if example(constraint) is None:
                recorder.note_untried("values", f"{table.fullname}.{_name(constraint)}", NO_EXAMPLE)
    for table in metadata.sorted_tables:
        if table not in fixture.tables:
            for constraint in check_constraints(table):
                recorder.note_untried("values", f"{table.fullname}.{_name(constraint)}", NO_TENANTS)


def check_constraints(table: Table) -> list[CheckConstraint]:
    """Return the CHECK constraints of a table, sorted by name."""
    return sorted((item for item in table.constraints if isinstance(item, CheckConstraint)), key=_name)


def example(constraint: CheckConstraint) -> Example | None:
    """Return the example of a constraint; None if the model declares none, or the constraint has no name."""
    values = constraint.info.get(REJECTS)
    if not values or constraint.name is None:
        return None
    return Example(str(constraint.name), values, frozenset({str(constraint.name), *_implying(constraint)}))


def _implying(constraint: CheckConstraint) -> list[str]:
    """Return the full names of the constraints that imply `constraint`; its model names them without the prefix."""
    table: Any = constraint.table
    convention = table.metadata.naming_convention.get("ck", "%(constraint_name)s")
    return [
        convention % {"table_name": table.name, "constraint_name": name}
        for name in constraint.info.get(IMPLIED_BY, ())
    ]


def _name(constraint: CheckConstraint) -> str:
    return f"CHECK ({constraint.sqltext})" if constraint.name is None else str(constraint.name)


def _values_check(fixture: TwoTenantFixture, table: Table, examples: Sequence[Example]) -> Callable[[], str]:
    def run() -> str:
        tenant = fixture.mine if "tenant_id" in table.columns else uuid4()
        fixture.become(tenant)
        # A valid row is accepted, so that a later error is caused by the wrong value.
        result = fixture.try_insert(table, tenant)
        if result.rejected:
            raise Unmet(f"a row without a wrong value is rejected: {result.message}")
        failed: dict[str, list[str]] = defaultdict(list)
        for item in examples:
            values = {column: as_text(value) for column, value in item.values.items()}
            result = fixture.try_insert(table, tenant, **values)
            if not result.rejected:
                failed["does not reject a wrong value"].append(item.constraint)
            elif result.state != CHECK_VIOLATION or result.constraint not in item.rejected_by:
                failed[f"could not reject a wrong value, because of another error: {result.message}"].append(
                    item.constraint
                )
        if failed:
            raise Unmet("; ".join(f"{', '.join(names)} {what}" for what, names in failed.items()))
        return f"wrong values rejected by {len(examples)} check{'' if len(examples) == 1 else 's'}"

    return run


FOREIGN_KEY_VIOLATION = "23503"


def check_references(recorder: Recorder, fixture: TwoTenantFixture) -> None:
    """Check each foreign key between tenant tables."""
    for table in fixture.tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys)):
            if key.referred_table in fixture.tables:
                columns = [column.name for column in key.columns if column.name != "tenant_id"]
                run = _across(fixture, table, key, columns) if columns else _nowhere(fixture, table)
                recorder.run("foreign keys", f"{table.fullname}.{', '.join(columns) or 'tenant_id'}", run)


def _across(
    fixture: TwoTenantFixture, table: Table, key: ForeignKeyConstraint, columns: list[str]
) -> Callable[[], str]:
    def run() -> str:
        target = key.referred_table
        # A row with references of its own tenant is accepted, so that a later error is caused by the other tenant.
        fixture.insert(table, fixture.mine)
        theirs = {column: str(fixture.id_of(target, fixture.theirs)) for column in columns}
        _require(fixture.try_insert(table, fixture.mine, **theirs))
        return f"cannot point into {target.fullname} of another tenant"

    return run


def _nowhere(fixture: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def run() -> str:
        values = fixture.values(table, fixture.mine)
        nobody = uuid4()
        fixture.become(nobody)
        # Optional keys are NULL, so that only the reference to the tenant can fail.
        optional = {column.name: None for column in table.columns if column.foreign_keys and column.nullable}
        _require(fixture.try_insert(table, nobody, **{**values, **optional, "tenant_id": str(nobody)}))
        return "cannot name a tenant that does not exist"

    return run


def _require(result: Attempt) -> None:
    if not result.rejected:
        raise Unmet("a row that points to another tenant is accepted")
    if result.state != FOREIGN_KEY_VIOLATION:
        raise Unmet(f"it is rejected for another reason: {result.message}")


UNIQUE_VIOLATION = "23505"


def check_uniqueness(recorder: Recorder, fixture: TwoTenantFixture) -> None:
    """Check each unique constraint."""
    for table in fixture.tables:
        constraints = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
        for constraint in sorted(constraints, key=lambda item: item.columns.keys()):
            columns = [name for name in constraint.columns.keys() if name != "tenant_id"]  # noqa: SIM118  iterating over the collection yields columns, not names
            name = f"{table.fullname}.{', '.join(columns)}"
            recorder.run("unique", name, _uniqueness_check(fixture, table, columns))


def _uniqueness_check(fixture: TwoTenantFixture, table: Table, columns: list[str]) -> Callable[[], str]:
    def run() -> str:
        values: dict[str, str | None] = {
            column: fixture.value(table, table.columns[column])
            for column in columns
            if not table.columns[column].foreign_keys
        }
        keys_alone = not values
        if keys_alone:  # both rows must reference the same row
            row = fixture.values(table, fixture.mine)
            values = {column: row[column] for column in columns}
        scoped = "tenant_id" in table.columns
        first, second = (fixture.mine, fixture.mine) if scoped else (uuid4(), uuid4())
        fixture.become(first)
        fixture.insert(table, first, **values)
        fixture.become(second)
        result = fixture.try_insert(table, second, **values)
        if not result.rejected:
            raise Unmet("the same value is accepted twice")
        if result.state != UNIQUE_VIOLATION:
            raise Unmet(f"the second is rejected for another reason: {result.message}")
        if keys_alone:
            return "rejected the second time"
        if not scoped:
            return "rejected the second time, in any tenant"
        fixture.become(fixture.theirs)
        result = fixture.try_insert(table, fixture.theirs, **values)
        if result.rejected:
            raise Unmet(f"another tenant cannot have the same value: {result.message}")
        return "rejected the second time, free for another tenant"

    return run
