"""RDS Proxy in front of the database: it keeps connections for applications that open many short ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from constructs import Construct

from dbschema_infra.security_group import ClosedSecurityGroup

if TYPE_CHECKING:
    from dbschema_infra.cluster import Cluster
    from dbschema_infra.credentials import Credentials
    from dbschema_infra.network import Network
    from dbschema_infra.settings import Settings


class Proxy(Construct):
    """For applications only: migrations hold locks of a session, and connect to the writer itself.

    Attributes:
        proxy: the proxy; clients get in by `connections.allow_default_port_from`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        network: Network,
        cluster: Cluster,
        credentials: Credentials,
    ) -> None:
        super().__init__(scope, construct_id)
        group = ClosedSecurityGroup(self, "Group", vpc=network.vpc, description="The proxy")
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("rds.amazonaws.com"))
        self.proxy = rds.DatabaseProxy(
            self,
            "Proxy",
            db_proxy_name=settings.name,
            proxy_target=rds.ProxyTarget.from_cluster(cluster.cluster),
            secrets=[credentials.secret],
            role=role,
            client_password_auth_type=rds.ClientPasswordAuthType.POSTGRES_SCRAM_SHA_256,
            require_tls=True,
            # The rest is left for migrations, and for whoever looks after the database.
            max_connections_percent=75,
            vpc=network.vpc,
            vpc_subnets=network.isolated,
            security_groups=[group],
        )
