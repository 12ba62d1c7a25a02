"""What must wake somebody about the migration function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

if TYPE_CHECKING:
    from aws_cdk import aws_sns as sns

    from dbschema_infra.migration import DbSchemaMigration


class MigrationAlarm(Construct):
    """One failed call is an alarm: the deployment that made it fails too, but one by hand may have nobody who looks.

    Attributes:
        alarm: the alarm.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, migration: DbSchemaMigration, topic: sns.ITopic
    ) -> None:
        super().__init__(scope, construct_id)
        period = Duration.minutes(5)
        errors = cloudwatch.MathExpression(
            expression="starting + continuing",
            using_metrics={
                "starting": migration.function.metric_errors(period=period),
                "continuing": migration.is_complete_function.metric_errors(period=period),
            },
            period=period,
            label="Failed calls",
        )
        self.alarm = cloudwatch.Alarm(
            self,
            "Errors",
            metric=errors,
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description="A call of the migration function failed; its log says at which revision.",
        )
        self.alarm.add_alarm_action(actions.SnsAction(topic))
