"""CDK's provider framework, which CloudFormation calls, and which calls the migration functions and answers for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_cdk import CfnElement, Duration, RemovalPolicy, Stack, Token
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from dbschema_infra.acknowledge import acknowledge

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

INTERVAL: Final = 15
"""Seconds between two calls of the second function."""


class MigrationProvider(Construct):
    """Outside the network: it must reach CloudFormation and Lambda, and has no business with the database.

    Attributes:
        service_token: what a custom resource names as its provider.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.Function,
        is_complete_function: lambda_.Function,
        total_timeout: Duration,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._provider = cr.Provider(
            self,
            "Framework",
            on_event_handler=function,
            is_complete_handler=is_complete_function,
            query_interval=Duration.seconds(INTERVAL),
            total_timeout=total_timeout,
            log_group=logs.LogGroup(
                self, "LogGroup", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
            ),
        )
        self.service_token = self._provider.service_token
        self._explain(function, is_complete_function)

    def _explain(self, *functions: lambda_.Function) -> None:
        partition = Stack.of(self).partition
        if Token.is_unresolved(partition):
            partition = "<AWS::Partition>"
        acknowledge(
            self,
            f"AwsSolutions-IAM4[Policy::arn:{partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
            "The framework's own roles: this policy lets them write logs and nothing else.",
        )
        framework = [
            self._provider.node.find_child(f"framework-{name}") for name in ("isComplete", "onTimeout")
        ]
        for function in (*functions, *framework):
            child = function.node.default_child
            if isinstance(child, CfnElement):
                acknowledge(
                    self,
                    f"AwsSolutions-IAM5[Resource::<{Stack.of(self).get_logical_id(child)}.Arn>:*]",
                    "The framework may call this one function, in each of its versions.",
                )
        machine = "The framework's machine only waits, and keeps its own history for 90 days; {}"
        acknowledge(
            self,
            "AwsSolutions-SF1",
            machine.format("that holds the address of the answer, which belongs in no log."),
        )
        acknowledge(
            self, "AwsSolutions-SF2", machine.format("what takes time is in the traces of the functions.")
        )
