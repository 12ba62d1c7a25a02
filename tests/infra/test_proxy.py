"""RDS Proxy, where the stage has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from synthesis import Assembly


def test_the_proxy_takes_tls_and_scram_only(cdk: ModuleType, production: Assembly) -> None:
    match = cdk.assertions.Match

    cdk.assertions.Template.from_json(production.template("Database")).has_resource_properties(
        "AWS::RDS::DBProxy",
        {
            "EngineFamily": "POSTGRESQL",
            "RequireTLS": True,
            "Auth": [
                match.object_like(
                    {"AuthScheme": "SECRETS", "ClientPasswordAuthType": "POSTGRES_SCRAM_SHA_256"}
                )
            ],
        },
    )


def test_the_proxy_leaves_connections_for_migrations(cdk: ModuleType, production: Assembly) -> None:
    cdk.assertions.Template.from_json(production.template("Database")).has_resource_properties(
        "AWS::RDS::DBProxyTargetGroup", {"ConnectionPoolConfigurationInfo": {"MaxConnectionsPercent": 75}}
    )


def test_the_proxy_may_read_one_secret_and_nothing_else(production: Assembly) -> None:
    (proxy,) = production.resources("Database", "AWS::RDS::DBProxy").values()
    role = proxy["Properties"]["RoleArn"]["Fn::GetAtt"][0]
    (secret,) = production.resources("Database", "AWS::SecretsManager::Secret")
    (key,) = production.resources("Database", "AWS::KMS::Key")

    statements = [
        (statement["Action"], statement["Resource"])
        for policy in production.resources("Database", "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]

    assert statements == [
        (["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], {"Ref": secret}),
        ("kms:Decrypt", {"Fn::GetAtt": [key, "Arn"]}),
    ]


def test_a_stage_that_pauses_has_no_proxy(development: Assembly) -> None:
    assert development.resources("Database", "AWS::RDS::DBProxy") == {}


def test_migrations_go_past_the_proxy(production: Assembly) -> None:
    """The lock of a migration belongs to a session, which the proxy may give to somebody else."""
    functions = production.resources("Migration", "AWS::Lambda::Function").values()

    hosts = {
        str(each["Properties"]["Environment"]["Variables"]["DB_HOST"])
        for each in functions
        if "DB_HOST" in each["Properties"]["Environment"]["Variables"]
    }

    assert len(hosts) == 1
    assert "EndpointAddress" in hosts.pop()
    assert "Proxy" not in str(
        [
            each["Properties"]["Environment"]
            for each in functions
            if each["Properties"]["Runtime"] == "python3.13"
        ]
    )
