"""The database: encrypted, isolated, watched, and as large and as safe as its stage asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from synthesis import Assembly


def template(cdk: ModuleType, assembly: Assembly) -> Any:
    return cdk.assertions.Template.from_json(assembly.template("Database"))


def key_of(assembly: Assembly) -> dict[str, Any]:
    (key,) = assembly.resources("Database", "AWS::KMS::Key")
    return {"Fn::GetAtt": [key, "Arn"]}


def test_it_is_a_current_aurora_postgresql_that_the_data_api_reaches(
    cdk: ModuleType, assembly: Assembly
) -> None:
    template(cdk, assembly).has_resource_properties(
        "AWS::RDS::DBCluster",
        {
            "Engine": "aurora-postgresql",
            "EngineVersion": "18.6",
            "EnableHttpEndpoint": True,
            "EnableIAMDatabaseAuthentication": True,
            "DatabaseName": "dbschema",
            "Port": 5432,
        },
    )


def test_storage_and_insights_are_encrypted_with_our_key(cdk: ModuleType, assembly: Assembly) -> None:
    template(cdk, assembly).has_resource_properties(
        "AWS::RDS::DBCluster",
        {
            "StorageEncrypted": True,
            "KmsKeyId": key_of(assembly),
            "PerformanceInsightsEnabled": True,
            "PerformanceInsightsKmsKeyId": key_of(assembly),
        },
    )
    template(cdk, assembly).has_resource_properties("AWS::KMS::Key", {"EnableKeyRotation": True})


def test_only_tls_gets_in(cdk: ModuleType, assembly: Assembly) -> None:
    template(cdk, assembly).has_resource_properties(
        "AWS::RDS::DBClusterParameterGroup",
        {"Family": "aurora-postgresql18", "Parameters": {"rds.force_ssl": "1", "log_lock_waits": "1"}},
    )


def test_nothing_is_logged_that_could_show_a_new_password(assembly: Assembly) -> None:
    """The rotation sends ALTER ROLE … PASSWORD: a log of statements would keep it in plain text."""
    (group,) = assembly.resources("Database", "AWS::RDS::DBClusterParameterGroup").values()

    assert not {"log_statement", "log_min_duration_statement", "log_duration"} & set(
        group["Properties"]["Parameters"]
    )


def test_the_exported_log_is_made_before_the_cluster_and_ends_some_day(assembly: Assembly) -> None:
    ((name, cluster),) = assembly.resources("Database", "AWS::RDS::DBCluster").items()
    groups = {
        each["Properties"]["LogGroupName"]: (logical, each["Properties"]["RetentionInDays"])
        for logical, each in assembly.resources("Database", "AWS::Logs::LogGroup").items()
        if "LogGroupName" in each["Properties"]
    }

    logical, days = groups[f"/aws/rds/cluster/dbschema-{assembly.folder.name}/postgresql"]

    assert cluster["Properties"]["DBClusterIdentifier"] == f"dbschema-{assembly.folder.name}", name
    assert cluster["Properties"]["EnableCloudwatchLogsExports"] == ["postgresql"]
    assert logical in cluster["DependsOn"]
    assert days == (365 if assembly.folder.name == "production" else 7)


def test_it_stands_in_the_isolated_subnets_and_has_no_public_address(assembly: Assembly) -> None:
    (group,) = assembly.resources("Database", "AWS::RDS::DBSubnetGroup").values()
    instances = assembly.resources("Database", "AWS::RDS::DBInstance").values()

    assert all("isolated" in subnet["Ref"] for subnet in group["Properties"]["SubnetIds"])
    assert [each["Properties"]["PubliclyAccessible"] for each in instances] == [False] * len(instances)


def test_development_pauses_has_one_instance_and_goes_with_its_stack(
    cdk: ModuleType, development: Assembly
) -> None:
    found = template(cdk, development)

    found.resource_count_is("AWS::RDS::DBInstance", 1)
    found.has_resource(
        "AWS::RDS::DBCluster",
        {
            "Properties": {
                "ServerlessV2ScalingConfiguration": {
                    "MinCapacity": 0,
                    "MaxCapacity": 2,
                    "SecondsUntilAutoPause": 900,
                },
                "BackupRetentionPeriod": 1,
                "DeletionProtection": False,
                "DeleteAutomatedBackups": True,
            },
            "DeletionPolicy": "Delete",
        },
    )
    found.has_resource("AWS::KMS::Key", {"DeletionPolicy": "Delete"})


def test_production_is_protected_and_what_it_leaves_can_be_restored(
    cdk: ModuleType, production: Assembly
) -> None:
    """A last snapshot is worth nothing without its key, so the key outlives the stack."""
    found = template(cdk, production)

    found.has_resource(
        "AWS::RDS::DBCluster",
        {
            "Properties": {
                "ServerlessV2ScalingConfiguration": {"MinCapacity": 1, "MaxCapacity": 16},
                "BackupRetentionPeriod": 35,
                "CopyTagsToSnapshot": True,
                "DeletionProtection": True,
                "DeleteAutomatedBackups": False,
            },
            "DeletionPolicy": "Snapshot",
            "UpdateReplacePolicy": "Snapshot",
        },
    )
    found.has_resource(
        "AWS::KMS::Key", {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
    )


def test_taking_production_apart_still_leaves_a_snapshot(
    cdk: ModuleType, archive: Path, tmp_path: Path
) -> None:
    """The way to delete it is `protected=false`: that alone must not delete the data."""
    from dbschema_infra.application import build

    app = build(tmp_path, {"stage": "production", "protected": "false", "archive": str(archive)})

    found = cdk.assertions.Template.from_stack(app.node.find_child("Database"))

    found.has_resource(
        "AWS::RDS::DBCluster", {"Properties": {"DeletionProtection": False}, "DeletionPolicy": "Snapshot"}
    )
    found.has_resource("AWS::KMS::Key", {"DeletionPolicy": "RetainExceptOnCreate"})


def test_a_second_instance_stands_in_the_other_zone_and_grows_with_the_writer(production: Assembly) -> None:
    instances = [
        each["Properties"] for each in production.resources("Database", "AWS::RDS::DBInstance").values()
    ]

    assert len({str(each["AvailabilityZone"]) for each in instances}) == 2
    assert {each["PromotionTier"] for each in instances} == {0, 1}
    assert {each["DBInstanceClass"] for each in instances} == {"db.serverless"}
