"""What must wake somebody about the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from dbschema_infra.metrics import database_metric

if TYPE_CHECKING:
    from aws_cdk import aws_rds as rds
    from aws_cdk import aws_sns as sns

    from dbschema_infra.settings import Settings


class DatabaseAlarms(Construct):
    """Processor, connections, capacity, age of transaction ids, and with two instances the lag between them.

    A paused database sends no numbers; that is no alarm.

    Attributes:
        alarms: all of them.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        cluster: rds.IDatabaseCluster,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        self._topic = topic
        self.alarms: list[cloudwatch.IAlarm] = []
        self._add(
            "Cpu",
            "CPUUtilization",
            80,
            "The writer's processor is busy: percent, for 15 minutes.",
            writer=True,
        )
        self._add(
            "Connections",
            "DatabaseConnections",
            settings.connections_alarm,
            "Connections are running out. Is a pool too large, or does somebody not close?",
            statistic="Maximum",
            writer=True,
        )
        self._add(
            "Capacity",
            "ACUUtilization",
            90,
            "The writer is near its largest capacity: percent of max_capacity, for 15 minutes.",
            writer=True,
        )
        self._add(
            "TransactionIds",
            "MaximumUsedTransactionIDs",
            1_000_000_000,
            "Vacuum is far behind: at two thousand million PostgreSQL stops writing.",
            statistic="Maximum",
        )
        if settings.instances > 1:
            self._add(
                "ReplicationLag",
                "AuroraReplicaLagMaximum",
                2000,
                "The reader is behind the writer: milliseconds, for 15 minutes.",
                statistic="Maximum",
            )

    def _add(
        self,
        name: str,
        metric: str,
        threshold: float,
        description: str,
        *,
        statistic: str = "Average",
        writer: bool = False,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=database_metric(self._cluster, metric, statistic=statistic, writer=writer),
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=3,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        alarm.add_ok_action(actions.SnsAction(self._topic))
        self.alarms.append(alarm)
