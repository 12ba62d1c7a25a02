"""The migration of a database as part of a deployment, for any Aurora cluster in any CDK app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aws_cdk import CustomResource, Duration, RemovalPolicy, Tokenization
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from dbschema_infra.acknowledge import acknowledge
from dbschema_infra.archive import Archive
from dbschema_infra.errors import BadCluster, BadSetting
from dbschema_infra.migration_provider import INTERVAL, MigrationProvider
from dbschema_infra.migration_role import MigrationRole
from dbschema_infra.security_group import ClosedSecurityGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_rds as rds
    from aws_cdk import aws_secretsmanager as secretsmanager

LONGEST_CALL: Final = 840
"""Seconds of one call: the framework's own function, which waits for it, ends after 900."""

LONGEST_MIGRATION: Final = 3585
"""Seconds of all calls together: CloudFormation ends after 3,600."""

SCRIPTS: Final = "DBSCHEMA_SCRIPT_LOCATION"
"""The variable with the folder, in the archive, of an application that has a line of revisions of its own."""

_ARCHITECTURES: Final = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class DbSchemaMigration(Construct):
    """Two functions, CDK's provider framework and a custom resource; with the stack, the database comes to the head.

    The first function migrates until shortly before its time is up. Where that was not enough, the framework calls the
    second one, which goes on, until it says that all is done. The custom resource comes after the cluster, and again
    whenever the head revision, the code or the database is another one; when nothing of this changed, nothing runs.

    Args:
        vpc: the network.
        cluster: the database. One from elsewhere needs its endpoint, port and security groups.
        database_name: the database in it.
        archive: what `make lambda` builds, for this architecture.
        secret: user name and password of the owner; None: the secret of the cluster. It may be one that RDS manages.
        secret_key_arn: the key of the secret; None: that of `secret`, where it is known.
        subnets: where the functions run; None: in isolated subnets.
        secrets_endpoint: the interface endpoint of Secrets Manager in the network. None: the functions may speak HTTPS to
            any address, for a network that has another way there.
        architecture: "arm64" or "x86_64".
        function_name: of the first function; the second one ends in "-is-complete". None: CloudFormation chooses.
        memory: MiB.
        function_timeout: of one call, at most 14 minutes.
        migration_timeout: of the whole migration, at most 3,585 seconds.
        environment: more settings of dbschema, by environment variables. No secrets. With DBSCHEMA_SCRIPT_LOCATION, a folder
            in the archive, its revisions are those that tell the head.
        log_groups: of the two functions; None: two are made here, and go with the stack.
        log_retention: of the logs that are made here.
        tracing: X-Ray.

    Attributes:
        function: starts a migration; also for `aws lambda invoke`.
        is_complete_function: goes on with it.
        resource: the custom resource; let depend on it what needs the new schema.
        head_revision: where the database ends.

    Raises:
        BadArchive, BadRevisions: the archive is missing or wrong.
        BadCluster: the cluster has no secret or no security group.
        BadSetting: a timeout is too long, or the architecture unknown.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        cluster: rds.IDatabaseCluster,
        database_name: str,
        archive: Path | str,
        secret: secretsmanager.ISecret | None = None,
        secret_key_arn: str | None = None,
        subnets: ec2.SubnetSelection | None = None,
        secrets_endpoint: ec2.IInterfaceVpcEndpoint | None = None,
        architecture: str = "arm64",
        function_name: str | None = None,
        memory: int = 512,
        function_timeout: Duration | None = None,
        migration_timeout: Duration | None = None,
        environment: Mapping[str, str] | None = None,
        log_groups: Sequence[logs.ILogGroup] | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        tracing: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        found = Archive.open(Path(archive), (environment or {}).get(SCRIPTS))
        timeout = function_timeout or Duration.seconds(LONGEST_CALL)
        total = migration_timeout or Duration.seconds(3300)
        _check(architecture, timeout.to_seconds(), total.to_seconds())
        group = self._security_group(vpc, cluster, secrets_endpoint)
        secret = secret or _secret_of(cluster)
        host, port = cluster.cluster_endpoint.hostname, cluster.cluster_endpoint.port
        groups = log_groups or [
            logs.LogGroup(self, name, retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
            for name in ("LogGroup", "IsCompleteLogGroup")
        ]
        role = MigrationRole(
            self, "Role", secret=secret, secret_key_arn=secret_key_arn, log_groups=groups, tracing=tracing
        )

        def function(
            name: str, handler: str, suffix: str, log_group: logs.ILogGroup, description: str
        ) -> lambda_.Function:
            made = lambda_.Function(
                self,
                name,
                function_name=None if function_name is None else function_name + suffix,
                description=description,
                runtime=lambda_.Runtime.PYTHON_3_13,
                architecture=_ARCHITECTURES[architecture],
                code=lambda_.Code.from_asset(str(found.path)),
                handler=f"lambda_entry.{handler}",
                timeout=timeout,
                memory_size=memory,
                environment={
                    "DB_SECRET_ARN": secret.secret_arn,
                    "DB_HOST": host,
                    "DB_PORT": Tokenization.stringify_number(port),
                    "DB_NAME": database_name,
                    "DBSCHEMA_CLOUDFORMATION_MODE": "provider",
                    "POWERTOOLS_SERVICE_NAME": "dbschema",
                    "POWERTOOLS_METRICS_NAMESPACE": "dbschema",
                    "DBSCHEMA_TRACING": "1" if tracing else "0",
                    **(environment or {}),
                },
                role=role.role,
                vpc=vpc,
                vpc_subnets=subnets or ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
                security_groups=[group],
                log_group=log_group,
                tracing=lambda_.Tracing.ACTIVE if tracing else lambda_.Tracing.DISABLED,
            )
            acknowledge(
                made,
                "AwsSolutions-L1",
                "The archive holds libraries compiled for Python 3.13: the runtime follows the archive.",
            )
            return made

        self.head_revision = found.head_revision
        self.function = function(
            "Function", "handler", "", groups[0], "Brings the database to the head revision"
        )
        self.is_complete_function = function(
            "IsCompleteFunction",
            "is_complete",
            "-is-complete",
            groups[1],
            "Goes on with a long migration until it is done",
        )
        provider = MigrationProvider(
            self,
            "Provider",
            function=self.function,
            is_complete_function=self.is_complete_function,
            total_timeout=total,
            log_retention=log_retention,
        )
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::DbSchemaMigration",
            service_token=provider.service_token,
            service_timeout=provider.service_timeout,
            # CloudFormation calls again exactly when one of these changes.
            properties={
                "HeadRevision": found.head_revision,
                "CodeHash": found.code_hash,
                "Database": f"{host}/{database_name}",
            },
        )
        # The rules of the network and the rights are no part of the cluster or of a function, and must be there before.
        self.resource.node.add_dependency(cluster, secret, group, role)
        if secrets_endpoint is not None:
            self.resource.node.add_dependency(secrets_endpoint)

    def _security_group(
        self, vpc: ec2.IVpc, cluster: rds.IDatabaseCluster, secrets_endpoint: ec2.IInterfaceVpcEndpoint | None
    ) -> ec2.SecurityGroup:
        if not cluster.connections.security_groups:
            raise BadCluster(
                f"The cluster {cluster.node.path} came without security groups, so that nothing can be let in",
                "Name them where the cluster is imported",
            )
        group = ClosedSecurityGroup(self, "Group", vpc=vpc, description="Migration of the database")
        # From here to there, never the other way round: a cluster of another stack is not to depend on this one.
        group.connections.allow_to(
            cluster, ec2.Port.tcp(cluster.cluster_endpoint.port), "Migration of the database"
        )
        if secrets_endpoint is None:
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "Secrets Manager, wherever it is")
        else:
            group.connections.allow_to(secrets_endpoint, ec2.Port.HTTPS, "Migration reads the secret")
        return group


def _check(architecture: str, call: float, total: float) -> None:
    if architecture not in _ARCHITECTURES:
        raise BadSetting(f"The architecture is {architecture!r}", f"Choose {' or '.join(_ARCHITECTURES)}")
    if call > LONGEST_CALL:
        raise BadSetting(f"The function_timeout is {call:g} s", f"Choose at most {LONGEST_CALL} s")
    if not call <= total <= LONGEST_MIGRATION or total % INTERVAL:
        raise BadSetting(
            f"The migration_timeout is {total:g} s",
            f"Choose a multiple of {INTERVAL} s, no less than {call:g} s and at most {LONGEST_MIGRATION} s",
        )


def _secret_of(cluster: rds.IDatabaseCluster) -> secretsmanager.ISecret:
    secret: secretsmanager.ISecret | None = getattr(cluster, "secret", None)
    if secret is None:
        raise BadCluster(f"The cluster {cluster.node.path} has no secret here", "Hand one over as secret=…")
    return secret
