"""CDK's provider framework, which CloudFormation calls, and which calls the migration functions and answers for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_cdk import CfnElement, Duration, RemovalPolicy, Stack, Token
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import custom_resources as cr
from constructs import Construct

from dbschema_infra.acknowledge import acknowledge
from dbschema_infra.errors import UnknownFramework

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

INTERVAL: Final = 15
"""Seconds between two calls of the second function."""

_BEGINNING: Final = '{"StartAt":'


class MigrationProvider(Construct):
    """Outside the network: it must reach CloudFormation and Lambda, and has no business with the database.

    Attributes:
        service_token: what a custom resource names as its provider.
        service_timeout: how long a custom resource has to wait for it.
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
        self.service_timeout = Duration.seconds(total_timeout.to_seconds() + INTERVAL)
        self._bound_the_machine()
        self._explain(function, is_complete_function)

    def _bound_the_machine(self) -> None:
        """Let the machine end when nobody waits for it any more; it begins when the first call has ended.

        The framework makes of `total_timeout` a number of calls, and counts for none of them how long it takes: with calls of
        14 minutes it would call for two days after CloudFormation has given up and rolled back.
        """
        machine = self._provider.node.find_child("waiter-state-machine").node.find_child("Resource")
        if not isinstance(machine, sfn.CfnStateMachine) or machine.definition_string is None:
            raise UnknownFramework("has no machine with a definition")
        definition = Stack.of(self).resolve(machine.definition_string)
        first, *others = definition["Fn::Join"][1] if "Fn::Join" in definition else [""]
        if not first.startswith(_BEGINNING):
            raise UnknownFramework("defines its machine in another way")
        first = f'{{"TimeoutSeconds":{self.service_timeout.to_seconds():.0f},{first[1:]}'
        machine.add_property_override("DefinitionString", {"Fn::Join": ["", [first, *others]]})

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
