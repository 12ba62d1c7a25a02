"""The secret: long, encrypted, rotated, and in no template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from synthesis import Assembly


def test_the_password_has_32_characters_and_only_our_key_opens_it(
    cdk: ModuleType, assembly: Assembly
) -> None:
    (key,) = assembly.resources("Database", "AWS::KMS::Key")

    cdk.assertions.Template.from_json(assembly.template("Database")).has_resource_properties(
        "AWS::SecretsManager::Secret",
        {
            "GenerateSecretString": {
                "PasswordLength": 32,
                "GenerateStringKey": "password",
                "SecretStringTemplate": json.dumps({"username": "dbschema_owner"}),
            },
            "KmsKeyId": {"Fn::GetAtt": [key, "Arn"]},
        },
    )


def test_no_template_holds_the_password(assembly: Assembly) -> None:
    (cluster,) = assembly.resources("Database", "AWS::RDS::DBCluster").values()

    assert "{{resolve:secretsmanager:" in json.dumps(cluster["Properties"]["MasterUserPassword"])
    for stack in ("Database", "Migration"):
        assert "resolve:secretsmanager" not in json.dumps(assembly.resources(stack, "AWS::Lambda::Function"))
        assert "resolve:secretsmanager" not in json.dumps(assembly.template(stack).get("Outputs", {}))


def test_the_password_changes_every_month_but_not_during_the_deployment(
    cdk: ModuleType, assembly: Assembly
) -> None:
    cdk.assertions.Template.from_json(assembly.template("Database")).has_resource_properties(
        "AWS::SecretsManager::RotationSchedule",
        {"RotationRules": {"ScheduleExpression": "rate(30 days)"}, "RotateImmediatelyOnUpdate": False},
    )


def test_the_rotation_leaves_out_the_same_signs_and_reaches_what_it_needs(assembly: Assembly) -> None:
    (secret,) = assembly.resources("Database", "AWS::SecretsManager::Secret").values()
    (rotation,) = assembly.resources("Database", "AWS::Serverless::Application").values()
    parameters = rotation["Properties"]["Parameters"]
    group = parameters["vpcSecurityGroupIds"]

    out = [
        rule["Properties"]["Description"]
        for rule in assembly.resources("Database", "AWS::EC2::SecurityGroupEgress").values()
        if rule["Properties"]["GroupId"] == group
    ]

    assert (
        parameters["excludeCharacters"] == secret["Properties"]["GenerateSecretString"]["ExcludeCharacters"]
    )
    assert "isolated" in json.dumps(parameters["vpcSubnetIds"])
    assert sorted(out) == ["Rotation changes the password", "Rotation writes the secret"]
