"""The numbers that Aurora publishes about a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

if TYPE_CHECKING:
    from aws_cdk import aws_rds as rds


def database_metric(
    cluster: rds.IDatabaseCluster, name: str, *, statistic: str = "Average", writer: bool = False
) -> cloudwatch.Metric:
    """One of them, by five minutes.

    Args:
        cluster: whose.
        name: as Aurora calls it, such as "CPUUtilization".
        statistic: "Average" or "Maximum".
        writer: of the instance that is the writer at that moment. Else over all, where an idle reader halves an average.
    """
    role = {"Role": "WRITER"} if writer else {}
    return cloudwatch.Metric(
        namespace="AWS/RDS",
        metric_name=name,
        dimensions_map={"DBClusterIdentifier": cluster.cluster_identifier, **role},
        statistic=statistic,
        period=Duration.minutes(5),
    )
