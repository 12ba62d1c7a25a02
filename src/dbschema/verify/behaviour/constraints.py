"""The group `values`: each CHECK rejects the example that its model declares.

The group `foreign keys`: no row points into another tenant, nor to one that is not there.

The group `unique`: what must be unique is so within a tenant, and free to occur in another one.
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
        constraint: its name.
        values: by column; whatever else the row needs is made up.
        rejected_by: names of the constraints that may reject them: this one, and those that imply it.
    """

    constraint: str
    values: Mapping[str, Any]
    rejected_by: frozenset[str]


def check_values(recorder: Recorder, stage: TwoTenantFixture, metadata: MetaData) -> None:
    """Check each table that has examples; note each CHECK constraint that cannot be tried, by name."""
    for table in stage.tables:
        constraints = check_constraints(table)
        examples = [item for item in map(example, constraints) if item is not None]
        if examples:
            recorder.ask("values", table.fullname, _values_question(stage, table, examples))
        for constraint in constraints:
            if example(constraint) is None:
                recorder.note_untried("values", f"{table.fullname}.{_name(constraint)}", NO_EXAMPLE)
    for table in metadata.sorted_tables:
        if table not in stage.tables:
            for constraint in check_constraints(table):
                recorder.note_untried("values", f"{table.fullname}.{_name(constraint)}", NO_TENANTS)


def check_constraints(table: Table) -> list[CheckConstraint]:
    """The CHECK constraints of `table`, by name."""
    found = [item for item in table.constraints if isinstance(item, CheckConstraint)]
    return sorted(found, key=_name)


def example(constraint: CheckConstraint) -> Example | None:
    """What the model declares that `constraint` rejects; None if it declares nothing, or the constraint has no name."""
    values = constraint.info.get(REJECTS)
    if not values or constraint.name is None:
        return None
    return Example(str(constraint.name), values, frozenset({str(constraint.name), *_implying(constraint)}))


def _implying(constraint: CheckConstraint) -> list[str]:
    """The full names of the constraints that imply `constraint`, which its model names without the prefix."""
    table: Any = constraint.table
    convention = table.metadata.naming_convention.get("ck", "%(constraint_name)s")
    return [
        convention % {"table_name": table.name, "constraint_name": name}
        for name in constraint.info.get(IMPLIED_BY, ())
    ]


def _name(constraint: CheckConstraint) -> str:
    return f"CHECK ({constraint.sqltext})" if constraint.name is None else str(constraint.name)


def _values_question(stage: TwoTenantFixture, table: Table, examples: Sequence[Example]) -> Callable[[], str]:
    def ask() -> str:
        tenant = stage.mine if "tenant_id" in table.columns else uuid4()
        stage.become(tenant)
        # A valid row can be written: what is rejected then is the value, and not the row.
        answer = stage.try_insert(table, tenant)
        if answer.refused:
            raise Unmet(f"a row without any wrong value is refused: {answer.message}")
        failed: dict[str, list[str]] = defaultdict(list)
        for item in examples:
            values = {column: as_text(value) for column, value in item.values.items()}
            answer = stage.try_insert(table, tenant, **values)
            if not answer.refused:
                failed["does not refuse a wrong value"].append(item.constraint)
            elif answer.state != CHECK_VIOLATION or answer.constraint not in item.rejected_by:
                failed[f"does not come to refuse a wrong value: {answer.message}"].append(item.constraint)
        if failed:
            raise Unmet("; ".join(f"{', '.join(names)} {what}" for what, names in failed.items()))
        return f"wrong values refused by {len(examples)} check{'' if len(examples) == 1 else 's'}"

    return ask


FOREIGN_KEY_VIOLATION = "23503"


def check_references(recorder: Recorder, stage: TwoTenantFixture) -> None:
    """Make a check for each foreign key between tables that keep tenants apart."""
    for table in stage.tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys)):
            if key.referred_table in stage.tables:
                columns = [column.name for column in key.columns if column.name != "tenant_id"]
                ask = _across(stage, table, key, columns) if columns else _nowhere(stage, table)
                recorder.ask("foreign keys", f"{table.fullname}.{', '.join(columns) or 'tenant_id'}", ask)


def _across(
    stage: TwoTenantFixture, table: Table, key: ForeignKeyConstraint, columns: list[str]
) -> Callable[[], str]:
    def ask() -> str:
        target = key.referred_table
        # A row of one's own first: what is refused then is the other tenant, and not the row.
        stage.insert(table, stage.mine)
        theirs = {column: str(stage.id_of(target, stage.theirs)) for column in columns}
        _require(stage.try_insert(table, stage.mine, **theirs))
        return f"cannot point into {target.fullname} of another tenant"

    return ask


def _nowhere(stage: TwoTenantFixture, table: Table) -> Callable[[], str]:
    def ask() -> str:
        values = stage.values(table, stage.mine)
        nobody = uuid4()
        stage.become(nobody)
        # Only what is needed and optional keys left out: it is the tenant that must be missed.
        optional = {column.name: None for column in table.columns if column.foreign_keys and column.nullable}
        _require(stage.try_insert(table, nobody, **{**values, **optional, "tenant_id": str(nobody)}))
        return "cannot name a tenant that is not there"

    return ask


def _require(answer: Attempt) -> None:
    if not answer.refused:
        raise Unmet("a row that points elsewhere is taken")
    if answer.state != FOREIGN_KEY_VIOLATION:
        raise Unmet(f"it is refused for another reason: {answer.message}")


UNIQUE_VIOLATION = "23505"


def check_uniqueness(recorder: Recorder, stage: TwoTenantFixture) -> None:
    """Make a check for each unique constraint."""
    for table in stage.tables:
        constraints = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
        for constraint in sorted(constraints, key=lambda item: item.columns.keys()):
            columns = [name for name in constraint.columns.keys() if name != "tenant_id"]  # noqa: SIM118  a collection of columns, whose iteration gives columns
            name = f"{table.fullname}.{', '.join(columns)}"
            recorder.ask("unique", name, _uniqueness_question(stage, table, columns))


def _uniqueness_question(stage: TwoTenantFixture, table: Table, columns: list[str]) -> Callable[[], str]:
    def ask() -> str:
        values: dict[str, str | None] = {
            column: stage.value(table, table.columns[column])
            for column in columns
            if not table.columns[column].foreign_keys
        }
        keys_alone = not values
        if keys_alone:  # the same row is to be pointed to twice
            made = stage.values(table, stage.mine)
            values = {column: made[column] for column in columns}
        scoped = "tenant_id" in table.columns
        first, second = (stage.mine, stage.mine) if scoped else (uuid4(), uuid4())
        stage.become(first)
        stage.insert(table, first, **values)
        stage.become(second)
        answer = stage.try_insert(table, second, **values)
        if not answer.refused:
            raise Unmet("the same value is taken twice")
        if answer.state != UNIQUE_VIOLATION:
            raise Unmet(f"the second is refused for another reason: {answer.message}")
        if keys_alone:
            return "refused the second time"
        if not scoped:
            return "refused the second time, whoever has it"
        stage.become(stage.theirs)
        answer = stage.try_insert(table, stage.theirs, **values)
        if answer.refused:
            raise Unmet(f"another tenant cannot have the same value: {answer.message}")
        return "refused the second time, free for another tenant"

    return ask
