"""The database: Aurora PostgreSQL Serverless v2 in the isolated subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from constructs import Construct

from dbschema_infra.acknowledge import acknowledge
from dbschema_infra.retention import kept, log_retention
from dbschema_infra.security_group import ClosedSecurityGroup

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from dbschema_infra.credentials import Credentials
    from dbschema_infra.network import Network
    from dbschema_infra.settings import Settings


class Cluster(Construct):
    """One cluster with a fixed name: a change that would replace it by an empty one fails at once, over that name.

    Attributes:
        cluster: the cluster; clients get in by `connections.allow_default_port_from`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        network: Network,
        key: kms.IKey,
        credentials: Credentials,
    ) -> None:
        super().__init__(scope, construct_id)
        group = ClosedSecurityGroup(self, "Group", vpc=network.vpc, description="The database")
        engine = rds.DatabaseClusterEngine.aurora_postgres(
            version=rds.AuroraPostgresEngineVersion.of(
                settings.engine_version, settings.engine_version.partition(".")[0]
            )
        )
        # Made before the cluster, which would else make it itself, and keep its logs for ever.
        log_group = logs.LogGroup(
            self,
            "LogGroup",
            log_group_name=f"/aws/rds/cluster/{settings.name}/postgresql",
            retention=log_retention(settings.log_days),
            removal_policy=kept(keep=settings.keep),
        )
        # One in each zone: left to itself, RDS may put both into the same.
        zones = network.vpc.availability_zones
        readers = [
            rds.ClusterInstance.serverless_v2("Reader", availability_zone=zones[1], scale_with_writer=True)
        ]
        self.cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            cluster_identifier=settings.name,
            engine=engine,
            parameter_group=self._parameters(settings, engine),
            credentials=rds.Credentials.from_secret(credentials.secret),
            default_database_name=settings.database_name,
            port=settings.port,
            writer=rds.ClusterInstance.serverless_v2("Writer", availability_zone=zones[0]),
            readers=readers if settings.instances > 1 else None,
            serverless_v2_min_capacity=settings.min_capacity,
            serverless_v2_max_capacity=settings.max_capacity,
            serverless_v2_auto_pause_duration=(
                Duration.seconds(settings.pause_after_seconds) if settings.min_capacity == 0 else None
            ),
            vpc=network.vpc,
            vpc_subnets=network.isolated,
            security_groups=[group],
            storage_encrypted=True,
            storage_encryption_key=key,
            enable_data_api=True,
            iam_authentication=True,
            enable_performance_insights=True,
            performance_insight_encryption_key=key,
            cloudwatch_logs_exports=["postgresql"],
            backup=rds.BackupProps(retention=Duration.days(settings.backup_days)),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not settings.keep,
            deletion_protection=settings.protected,
            removal_policy=RemovalPolicy.SNAPSHOT if settings.keep else RemovalPolicy.DESTROY,
        )
        self.cluster.node.add_dependency(log_group)
        self._explain(settings)

    def _parameters(self, settings: Settings, engine: rds.IClusterEngine) -> rds.ParameterGroup:
        return rds.ParameterGroup(
            self,
            "Parameters",
            engine=engine,
            description=f"Parameters of {settings.name}",
            parameters={
                "rds.force_ssl": "1",
                # Who waited for whom while a migration ran. Neither log_statement nor log_min_duration_statement is set:
                # they would write the ALTER ROLE … PASSWORD of the rotation into the exported log.
                "log_lock_waits": "1",
            },
        )

    def _explain(self, settings: Settings) -> None:
        acknowledge(
            self.cluster,
            "CloudFormation-Validate::E9006",
            "The rule carries a list of versions that is older than this one, which CDK itself names.",
        )
        if not settings.protected:
            acknowledge(
                self.cluster,
                "AwsSolutions-RDS10",
                "This stage is meant to be taken apart; stages that hold real data set protected.",
            )
