"""The group `values`: each CHECK refuses a value that it should."""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import CheckConstraint

from dbschema.types import Checked
from dbschema.verify.behaviour.specimens import wrong_value_for
from dbschema.verify.errors import Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Table

    from dbschema.verify.behaviour.stage import Stage
    from dbschema.verify.recording import Recorder

CHECK_VIOLATION = "23514"

WRONG_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ck_agent_definitions_max_output_keys": {"max_output_keys": "0"},
        "ck_agent_definitions_no_self_dependency": {"agent_id": "verify", "agent_dependencies": '["verify"]'},
        "ck_agent_definitions_version": {"version": "0"},
        "ck_fulfillment_delivered_after_shipped": {
            "shipped_at": "2001-01-02 00:00:00+00",
            "delivered_at": "2001-01-01 00:00:00+00",
        },
        "ck_image_evidence_byte_size": {"byte_size": "-1"},
        "ck_incidents_severity": {"severity": "6"},
        "ck_marketing_campaigns_budget": {"budget": "-1"},
        "ck_marketing_campaigns_clicks": {"clicks": "-1"},
        "ck_marketing_campaigns_clicks_within_impressions": {"clicks": "2", "impressions": "1"},
        "ck_marketing_campaigns_conversions": {"conversions": "-1"},
        "ck_marketing_campaigns_ends_after_starts": {"starts_on": "2001-01-02", "ends_on": "2001-01-01"},
        "ck_marketing_campaigns_revenue": {"revenue": "-1"},
        "ck_marketing_campaigns_spend": {"spend": "-1"},
        "ck_orders_total_amount": {"total_amount": "-1"},
    }
)
"""Values that the constraints of our models must refuse; those that come with a type are found out from the type."""

IMPLIED = frozenset({"ck_marketing_campaigns_impressions"})
"""Follow from others (clicks are not negative, and not more than impressions), so that those refuse first."""


def check(recorder: Recorder, stage: Stage) -> None:
    """Make a check for each table that has CHECK constraints with a known wrong value."""
    for table in stage.tables:
        wrong = dict(wrong_values(table))
        if wrong:
            recorder.ask("values", table.fullname, _question(stage, table, wrong))


def wrong_values(table: Table) -> Iterator[tuple[str, Mapping[str, str]]]:
    """For each CHECK of `table` whose wrong value is known: its name, and values that it must refuse."""
    carried = {
        f"ck_{table.name}_{column.name}": column
        for column in table.columns
        if isinstance(column.type, Checked)
    }
    for constraint in sorted(table.constraints, key=lambda item: str(item.name)):
        name = str(constraint.name)
        if not isinstance(constraint, CheckConstraint):
            continue
        if name in WRONG_VALUES:
            yield name, WRONG_VALUES[name]
        elif name in carried and (value := wrong_value_for(carried[name])) is not None:
            yield name, {carried[name].name: value}


def _question(stage: Stage, table: Table, wrong: Mapping[str, Mapping[str, str]]) -> Callable[[], str]:
    def ask() -> str:
        tenant = stage.mine if "tenant_id" in table.columns else uuid4()
        stage.become(tenant)
        # A right row can be written: what is refused then is the value, and not the row.
        answer = stage.try_insert(table, tenant)
        if answer.refused:
            raise Unmet(f"a row without any wrong value is refused: {answer.message}")
        failed: dict[str, list[str]] = defaultdict(list)
        for name, values in wrong.items():
            answer = stage.try_insert(table, tenant, **values)
            if not answer.refused:
                failed["does not refuse a wrong value"].append(name)
            elif (answer.state, answer.constraint) != (CHECK_VIOLATION, name):
                failed[f"does not come to refuse a wrong value: {answer.message}"].append(name)
        if failed:
            raise Unmet("; ".join(f"{', '.join(names)} {what}" for what, names in failed.items()))
        return f"wrong values refused by {len(wrong)} check{'' if len(wrong) == 1 else 's'}"

    return ask
