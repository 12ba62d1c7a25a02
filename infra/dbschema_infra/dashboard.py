"""One page with what the database and its migrations do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from dbschema_infra.metrics import database_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_rds as rds

    from dbschema_infra.settings import Settings


class Dashboard(Construct):
    """Alarms, load, capacity, connections, lag, storage, and the calls of the migration functions.

    The functions are taken by name, for they live in a stack that is deployed later.

    Attributes:
        dashboard: the dashboard.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        cluster: rds.IDatabaseCluster,
        alarms: Sequence[cloudwatch.IAlarm],
        functions: Sequence[str],
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster = cluster
        self._functions = functions
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=settings.name, period_override=cloudwatch.PeriodOverride.AUTO
        )
        self.dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(alarms=alarms, title="Alarms", width=24, height=3)
        )
        self.dashboard.add_widgets(
            self._database("Processor of the writer (%)", "CPUUtilization", writer=True),
            self._database("Capacity (ACU)", "ServerlessDatabaseCapacity", statistic="Maximum"),
            self._database("Connections", "DatabaseConnections", statistic="Maximum"),
        )
        self.dashboard.add_widgets(
            self._database("Latency of commits (ms)", "CommitLatency"),
            self._database("Lag of the reader (ms)", "AuroraReplicaLagMaximum", statistic="Maximum"),
            self._database("Storage (bytes)", "VolumeBytesUsed"),
        )
        self.dashboard.add_widgets(
            self._calls("Migration: calls", "Invocations", "Sum"),
            self._calls("Migration: failed calls", "Errors", "Sum"),
            self._calls("Migration: duration (ms)", "Duration", "Maximum"),
        )

    def _database(
        self, title: str, metric: str, *, statistic: str = "Average", writer: bool = False
    ) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=8,
            left=[database_metric(self._cluster, metric, statistic=statistic, writer=writer)],
        )

    def _calls(self, title: str, metric: str, statistic: str) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(
            title=title,
            width=8,
            left=[
                cloudwatch.Metric(
                    namespace="AWS/Lambda",
                    metric_name=metric,
                    dimensions_map={"FunctionName": name},
                    statistic=statistic,
                    period=Duration.minutes(5),
                )
                for name in self._functions
            ],
        )
