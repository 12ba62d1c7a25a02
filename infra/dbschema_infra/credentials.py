"""The secret with the password of the database's owner, and its rotation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aws_cdk import Duration
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from dbschema_infra.security_group import ClosedSecurityGroup

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from dbschema_infra.network import Network
    from dbschema_infra.settings import Settings

_UNWANTED: Final = " %+~`#$&*()|[]{}:;<>?!'/@\"\\"
"""Signs that addresses, shells or RDS itself give a meaning to; the rotation leaves them out too."""


class Credentials(Construct):
    """User and a password of 32 characters. RDS adds host, port and database when a cluster takes the secret.

    Attributes:
        secret: the secret, encrypted with the given key.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description=f"Owner of the database of {settings.name}",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({"username": settings.owner}),
                generate_string_key="password",
                password_length=32,
                exclude_characters=_UNWANTED,
            ),
        )

    def rotate(self, cluster: rds.DatabaseCluster, network: Network) -> None:
        """Change the password regularly, by the function that AWS publishes for it.

        The first change comes after the first interval, not during the deployment that also migrates.
        """
        group = ClosedSecurityGroup(
            self, "RotationGroup", vpc=network.vpc, description="Rotation of the password"
        )
        group.connections.allow_to_default_port(cluster, "Rotation changes the password")
        group.connections.allow_to_default_port(network.secrets_endpoint, "Rotation writes the secret")
        cluster.add_rotation_single_user(
            automatically_after=Duration.days(self._settings.rotation_days),
            exclude_characters=_UNWANTED,
            rotate_immediately_on_update=False,
            security_group=group,
            vpc_subnets=network.isolated,
        )
