"""What the migration functions may do: read one secret, write their log, and stand in the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from dbschema_infra.acknowledge import acknowledge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_secretsmanager as secretsmanager

_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


class MigrationRole(Construct):
    """A role without managed policies.

    Attributes:
        role: the role, for both functions.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret: secretsmanager.ISecret,
        secret_key_arn: str | None,
        log_groups: Sequence[logs.ILogGroup],
        tracing: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Migration of a database",
        )
        for log_group in log_groups:
            log_group.grant_write(self.role)
        self._read_secret(secret, secret_key_arn)
        # Lambda itself makes and removes the interface with this role; none of the actions can be bound to one network.
        self._allow("*", *_INTERFACES)
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="OnlyLambdaItself",
                effect=iam.Effect.DENY,
                actions=[*_INTERFACES],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "lambda:SourceFunctionArn": stack.format_arn(
                            service="lambda",
                            resource="function",
                            resource_name="*",
                            arn_format=ArnFormat.COLON_RESOURCE_NAME,
                        )
                    }
                },
            )
        )
        if tracing:
            self._allow("*", "xray:PutTelemetryRecords", "xray:PutTraceSegments")
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::*]",
            "Network interfaces and traces have no resource to name; the code of a function is denied the former.",
        )

    def _read_secret(self, secret: secretsmanager.ISecret, key_arn: str | None) -> None:
        # The whole ARN ends in six characters that a name does not tell.
        arn = secret.secret_full_arn or f"{secret.secret_arn}-??????"
        self._allow(arn, "secretsmanager:GetSecretValue")
        if key_arn is None and secret.encryption_key is not None:
            key_arn = secret.encryption_key.key_arn
        if key_arn is not None:
            service = f"secretsmanager.{Stack.of(self).region}.amazonaws.com"
            self._allow(key_arn, "kms:Decrypt", conditions={"StringEquals": {"kms:ViaService": service}})

    def _allow(
        self, resource: str, *actions: str, conditions: dict[str, dict[str, str]] | None = None
    ) -> None:
        self.role.add_to_policy(
            iam.PolicyStatement(actions=[*actions], resources=[resource], conditions=conditions)
        )
