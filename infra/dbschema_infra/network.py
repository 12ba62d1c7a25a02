"""The network: two zones, each with a public, a private and an isolated subnet, and the endpoints that isolation needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from dbschema_infra.retention import kept, log_retention
from dbschema_infra.security_group import ClosedSecurityGroup

if TYPE_CHECKING:
    from dbschema_infra.settings import Settings


class Network(Construct):
    """Public for what the internet may reach, private for applications, isolated for the database and what migrates it.

    Isolated subnets have no way out. What runs there reaches S3 by a gateway endpoint, which costs nothing, and Secrets
    Manager by an interface endpoint. Neither logs nor metrics of a function go through the network of its owner, and the
    function is told the database's place directly, so there is no endpoint for them nor for parameters.

    Attributes:
        vpc: the network.
        isolated: selects the isolated subnets.
        secrets_endpoint: the endpoint of Secrets Manager; let each client in by `connections.allow_default_port_from`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        # The ids of subnets hang on their names, so that a gateway can be added later without making them anew.
        private = (
            ec2.SubnetType.PRIVATE_WITH_EGRESS if settings.nat_gateways else ec2.SubnetType.PRIVATE_ISOLATED
        )
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            vpc_name=settings.name,
            ip_addresses=ec2.IpAddresses.cidr(settings.cidr),
            max_azs=2,
            nat_gateways=settings.nat_gateways,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=24,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(name="private", subnet_type=private, cidr_mask=20),
                ec2.SubnetConfiguration(
                    name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22
                ),
            ],
        )
        self.isolated = ec2.SubnetSelection(subnet_group_name="isolated")
        self._log_flows(settings)
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.secrets_endpoint = self._secrets_endpoint(settings)

    def _log_flows(self, settings: Settings) -> None:
        group = logs.LogGroup(
            self,
            "FlowLogGroup",
            retention=log_retention(settings.log_days),
            removal_policy=kept(keep=settings.keep),
        )
        role = iam.Role(self, "FlowLogRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            max_aggregation_interval=ec2.FlowLogMaxAggregationInterval.TEN_MINUTES,
        )

    def _secrets_endpoint(self, settings: Settings) -> ec2.InterfaceVpcEndpoint:
        group = ClosedSecurityGroup(
            self, "SecretsEndpointGroup", vpc=self.vpc, description="Endpoint of Secrets Manager"
        )
        subnets = self.vpc.select_subnets(subnet_group_name="isolated").subnets
        return self.vpc.add_interface_endpoint(
            "SecretsEndpoint",
            service=ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            subnets=ec2.SubnetSelection(subnets=subnets[: settings.secrets_endpoint_zones]),
            security_groups=[group],
            # Whoever may ask is let in one by one, not the whole network.
            open=False,
        )
