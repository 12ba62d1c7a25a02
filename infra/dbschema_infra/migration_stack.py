"""The stack that is deployed with each release: the migration, and the alarm about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CfnOutput, Duration, Stack

from dbschema_infra.migration import DbSchemaMigration
from dbschema_infra.migration_alarm import MigrationAlarm
from dbschema_infra.retention import log_retention

if TYPE_CHECKING:
    from pathlib import Path

    from constructs import Construct

    from dbschema_infra.database_stack import DatabaseStack
    from dbschema_infra.settings import Settings


class MigrationStack(Stack):
    """A failed migration takes back this stack and nothing else.

    Attributes:
        migration: the migration.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        database: DatabaseStack,
        archive: Path,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            stack_name=f"{settings.name}-migration",
            description="Migration of the database to the head revision of dbschema",
        )
        self.add_stack_dependency(database)
        logs = database.migration_logs
        self.migration = DbSchemaMigration(
            self,
            "Migration",
            vpc=database.network.vpc,
            subnets=database.network.isolated,
            secrets_endpoint=database.network.secrets_endpoint,
            cluster=database.cluster.cluster,
            secret=database.credentials.secret,
            database_name=settings.database_name,
            archive=archive,
            architecture=settings.architecture,
            function_name=logs.names[0],
            memory=settings.memory,
            function_timeout=Duration.seconds(settings.function_timeout_seconds),
            migration_timeout=Duration.seconds(settings.migration_timeout_seconds),
            log_groups=logs.groups,
            log_retention=log_retention(settings.log_days),
            tracing=settings.tracing,
        )
        MigrationAlarm(self, "Alarm", migration=self.migration, topic=database.notifications.topic)
        CfnOutput(self, "FunctionName", value=self.migration.function.function_name)
        CfnOutput(self, "HeadRevision", value=self.migration.head_revision)
