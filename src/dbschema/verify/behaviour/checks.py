"""The group `values`: each CHECK rejects the example that its model declares."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import CheckConstraint

from dbschema.orm.types import IMPLIED_BY, REJECTS
from dbschema.verify.behaviour.specimens import as_text
from dbschema.verify.errors import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import MetaData, Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

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


def check(recorder: Recorder, stage: Stage, metadata: MetaData) -> None:
    """Check each table that has examples; note each CHECK constraint that cannot be tried, by name."""
    for table in stage.tables:
        constraints = check_constraints(table)
        examples = [item for item in map(example, constraints) if item is not None]
        if examples:
            recorder.ask("values", table.fullname, _question(stage, table, examples))
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


def _question(stage: Stage, table: Table, examples: Sequence[Example]) -> Callable[[], str]:
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
