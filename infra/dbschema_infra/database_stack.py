"""The stack that holds the data: it is deployed seldom, and never undone because a migration failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CfnOutput, Duration, Stack, Tokenization
from aws_cdk import aws_kms as kms

from dbschema_infra.cluster import Cluster
from dbschema_infra.credentials import Credentials
from dbschema_infra.dashboard import Dashboard
from dbschema_infra.database_alarms import DatabaseAlarms
from dbschema_infra.migration_logs import MigrationLogs
from dbschema_infra.network import Network
from dbschema_infra.notifications import Notifications
from dbschema_infra.parameters import Parameters
from dbschema_infra.proxy import Proxy
from dbschema_infra.retention import kept

if TYPE_CHECKING:
    from constructs import Construct

    from dbschema_infra.settings import Settings


class DatabaseStack(Stack):
    """Network, key, secret, cluster, proxy, parameters, alarms and dashboard.

    Attributes:
        network, cluster, credentials, notifications, migration_logs: what the migration needs of it.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            stack_name=f"{settings.name}-database",
            description="Database whose schema dbschema owns, with its network",
            termination_protection=settings.protected,
        )
        self.network = Network(self, "Network", settings=settings)
        key = kms.Key(
            self,
            "Key",
            alias=settings.name,
            description=f"Database, secret and alarms of {settings.name}",
            enable_key_rotation=True,
            pending_window=Duration.days(30 if settings.keep else 7),
            removal_policy=kept(keep=settings.keep),
        )
        self.credentials = Credentials(self, "Credentials", settings=settings, key=key)
        self.cluster = Cluster(
            self, "Cluster", settings=settings, network=self.network, key=key, credentials=self.credentials
        )
        self.credentials.rotate(self.cluster.cluster, self.network)
        proxy = None
        if settings.proxy:
            proxy = Proxy(
                self,
                "Proxy",
                settings=settings,
                network=self.network,
                cluster=self.cluster,
                credentials=self.credentials,
            )
        Parameters(
            self,
            "Parameters",
            settings=settings,
            cluster=self.cluster,
            credentials=self.credentials,
            proxy=proxy,
        )
        self.notifications = Notifications(self, "Notifications", settings=settings, key=key)
        self.migration_logs = MigrationLogs(self, "MigrationLogs", settings=settings)
        alarms = DatabaseAlarms(
            self,
            "Alarms",
            settings=settings,
            cluster=self.cluster.cluster,
            topic=self.notifications.topic,
        )
        dashboard = Dashboard(
            self,
            "Dashboard",
            settings=settings,
            cluster=self.cluster.cluster,
            alarms=alarms.alarms,
            functions=self.migration_logs.names,
        )
        endpoint = self.cluster.cluster.cluster_endpoint
        outputs = {
            "VpcId": self.network.vpc.vpc_id,
            "Endpoint": endpoint.hostname,
            "ReaderEndpoint": self.cluster.cluster.cluster_read_endpoint.hostname,
            "Port": Tokenization.stringify_number(endpoint.port),
            "DatabaseName": settings.database_name,
            "ClusterArn": self.cluster.cluster.cluster_arn,
            "SecretArn": self.credentials.secret.secret_arn,
            "ParameterPrefix": settings.parameter_prefix,
            "AlarmTopicArn": self.notifications.topic.topic_arn,
            "DashboardName": dashboard.dashboard.dashboard_name,
        }
        if proxy is not None:
            outputs["ProxyEndpoint"] = proxy.proxy.endpoint
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
