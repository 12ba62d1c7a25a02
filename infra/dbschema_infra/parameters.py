"""Where the database is, as parameters that applications and `DB_SSM_PREFIX` read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Tokenization
from aws_cdk import aws_ssm as ssm
from constructs import Construct

if TYPE_CHECKING:
    from dbschema_infra.cluster import Cluster
    from dbschema_infra.credentials import Credentials
    from dbschema_infra.proxy import Proxy
    from dbschema_infra.settings import Settings


class Parameters(Construct):
    """`endpoint`, `port`, `name` and `credentials-arn` under the prefix; with a proxy also `proxy-endpoint`.

    The endpoint is that of the writer, for it serves migrations too. None of them is a secret.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        cluster: Cluster,
        credentials: Credentials,
        proxy: Proxy | None,
    ) -> None:
        super().__init__(scope, construct_id)
        endpoint = cluster.cluster.cluster_endpoint
        values = {
            "endpoint": (endpoint.hostname, "Host of the writer"),
            "port": (Tokenization.stringify_number(endpoint.port), "Port of the database"),
            "name": (settings.database_name, "Name of the database"),
            "credentials-arn": (credentials.secret.secret_arn, "Secret with user name and password"),
        }
        if proxy is not None:
            values["proxy-endpoint"] = (proxy.proxy.endpoint, "Host of the proxy, for applications")
        for name, (value, description) in values.items():
            ssm.StringParameter(
                self,
                "".join(part.capitalize() for part in name.split("-")),
                parameter_name=f"{settings.parameter_prefix}/{name}",
                string_value=value,
                description=f"{description} ({settings.name})",
            )
