"""The migration as a construct: what the function gets and may, and when CloudFormation calls it again."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from dbschema_infra.errors import BadArchive, BadCluster, BadSetting, UnknownFramework
from synthesis import HANDLER, write_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from synthesis import Assembly

OURS = ("lambda_entry.handler", "lambda_entry.is_complete")


def functions(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Our two functions by handler, not those of the framework."""
    found = {
        each["Properties"]["Handler"]: each["Properties"]
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::Function"
        and each["Properties"]["Handler"].startswith("lambda_entry.")
    }
    assert set(found) == set(OURS)
    return found


def resource(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (found,) = (each for each in resources.values() if each["Type"] == "Custom::DbSchemaMigration")
    return found


def definition(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Of the machine that waits; for the ARN of a function stands its logical id."""
    (machine,) = (each for each in resources.values() if each["Type"] == "AWS::StepFunctions::StateMachine")
    separator, parts = machine["Properties"]["DefinitionString"]["Fn::Join"]
    text = separator.join(part if isinstance(part, str) else part["Fn::GetAtt"][0] for part in parts)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def elsewhere(cdk: ModuleType, archive: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Puts a DbSchemaMigration into another app, beside a cluster that knows nothing of it; gives the resources."""
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_rds as rds
    from dbschema_infra.migration import DbSchemaMigration

    def build(
        cluster: Callable[[Any, Any], Any] | None = None, **arguments: Any
    ) -> dict[str, dict[str, Any]]:
        stack = cdk.Stack(cdk.App(), "Theirs")
        isolated = ec2.SubnetConfiguration(name="data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=0, subnet_configuration=[isolated])
        if cluster is None:
            theirs: Any = rds.DatabaseCluster(
                stack,
                "Cluster",
                engine=rds.DatabaseClusterEngine.aurora_postgres(
                    version=rds.AuroraPostgresEngineVersion.VER_16_6
                ),
                writer=rds.ClusterInstance.serverless_v2("Writer"),
                vpc=vpc,
                vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            )
        else:
            theirs = cluster(stack, vpc)
        given = {"vpc": vpc, "cluster": theirs, "database_name": "shop", "archive": archive} | arguments
        DbSchemaMigration(stack, "Migration", **given)
        found: dict[str, Any] = cdk.assertions.Template.from_stack(stack).to_json()
        return dict(found["Resources"])

    return build


def imported(**more: Any) -> Callable[[Any, Any], Any]:
    """A cluster that another stack or another tool has made."""

    def make(stack: Any, vpc: Any) -> Any:
        from aws_cdk import aws_ec2 as ec2
        from aws_cdk import aws_rds as rds

        known: dict[str, Any] = {
            "cluster_identifier": "theirs",
            "cluster_endpoint_address": "theirs.example.com",
            "port": 5433,
            "security_groups": [
                ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0123456789abcdef0")
            ],
        }
        return rds.DatabaseCluster.from_database_cluster_attributes(stack, "Cluster", **(known | more))

    return make


def secret_with_key(stack: Any, vpc: Any) -> Any:
    from aws_cdk import aws_secretsmanager as secretsmanager

    return imported(secret=secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "rds!cluster-1234"))(
        stack, vpc
    )


# --- What the functions get and may ----------------------------------------------------------


def test_both_functions_run_the_same_archive_in_python_3_13(assembly: Assembly) -> None:
    found = functions(assembly.resources("Migration"))

    assert {each["Runtime"] for each in found.values()} == {"python3.13"}
    assert {tuple(each["Architectures"]) for each in found.values()} == {("arm64",)}
    assert len({json.dumps(each["Code"]) for each in found.values()}) == 1
    assert assembly.archive.name.removeprefix("asset.") in json.dumps(found[OURS[0]]["Code"])


def test_the_settings_are_the_environment_variables_of_the_contract(assembly: Assembly) -> None:
    for each in functions(assembly.resources("Migration")).values():
        variables = each["Environment"]["Variables"]
        assert set(variables) >= {"DB_SECRET_ARN", "DB_HOST", "DB_PORT", "DB_NAME"}
        assert variables["DBSCHEMA_CLOUDFORMATION_MODE"] == "provider"
        assert variables["DB_NAME"] == "dbschema"
        assert not any("PASSWORD" in name for name in variables)


def test_the_functions_stand_in_isolated_subnets_and_reach_the_database_and_the_secret_only(
    assembly: Assembly,
) -> None:
    resources = assembly.resources("Migration")
    places = [each["VpcConfig"] for each in functions(resources).values()]
    (group,) = {json.dumps(place["SecurityGroupIds"][0]) for place in places}

    out = {
        each["Properties"]["Description"]
        for each in resources.values()
        if each["Type"] == "AWS::EC2::SecurityGroupEgress"
        and json.dumps(each["Properties"]["GroupId"]) == group
    }

    assert all("isolated" in json.dumps(place["SubnetIds"]) for place in places)
    assert all("private" not in json.dumps(place["SubnetIds"]) for place in places)
    assert out == {"Migration of the database", "Migration reads the secret"}


def test_the_role_may_read_one_secret_write_two_logs_and_nothing_else(assembly: Assembly) -> None:
    resources = assembly.resources("Migration")
    (role,) = {each["Role"]["Fn::GetAtt"][0] for each in functions(resources).values()}

    statements = [
        statement
        for each in resources.values()
        if each["Type"] == "AWS::IAM::Policy" and {"Ref": role} in each["Properties"]["Roles"]
        for statement in each["Properties"]["PolicyDocument"]["Statement"]
    ]
    allowed: dict[str, list[Any]] = {}
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for action in actions if statement["Effect"] == "Allow" else ():
            where = statement["Resource"]
            allowed.setdefault(action, []).extend(where if isinstance(where, list) else [where])
    network = {action for action in allowed if action.startswith("ec2:")}

    assert "ManagedPolicyArns" not in resources[role]["Properties"]
    assert set(allowed) - network == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "kms:Decrypt",
    }
    assert {action: len(where) for action, where in allowed.items() if action not in network} == {
        "logs:CreateLogStream": 2,
        "logs:PutLogEvents": 2,
        "secretsmanager:GetSecretValue": 1,
        "kms:Decrypt": 1,
    }
    assert "*" not in [place for action in allowed.keys() - network for place in allowed[action]]
    (denied,) = (each for each in statements if each["Effect"] == "Deny")
    assert set(denied["Action"]) == network
    assert "lambda:SourceFunctionArn" in denied["Condition"]["ArnLike"]


def test_the_logs_outlive_a_deployment_that_failed(assembly: Assembly) -> None:
    """They stand in the other stack, under the name that the framework's error message gives."""
    ours = functions(assembly.resources("Migration")).values()

    groups = {
        each["Properties"].get("LogGroupName")
        for each in assembly.resources("Database", "AWS::Logs::LogGroup").values()
    }

    assert {f"/aws/lambda/{each['FunctionName']}" for each in ours} <= groups
    assert all("ExportsOutputRefMigrationLogs" in json.dumps(each["LoggingConfig"]) for each in ours)


# --- Timeouts ----------------------------------------------------------------------------------


def test_each_timeout_ends_before_the_one_around_it(assembly: Assembly) -> None:
    resources = assembly.resources("Migration")
    ours = {each["Timeout"] for each in functions(resources).values()}
    framework = {
        each["Properties"]["Timeout"]
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::Function" and each["Properties"]["Handler"].startswith("framework.")
    }
    retry = definition(resources)["States"]["framework-isComplete-task"]["Retry"][0]

    assert ours == {840}
    assert framework == {900}
    waiting = retry["IntervalSeconds"] * retry["MaxAttempts"]
    assert waiting == 3300
    assert waiting < int(resource(resources)["Properties"]["ServiceTimeout"]) <= 3600


def test_the_machine_that_waits_ends_when_nobody_waits_for_it(elsewhere: Callable[..., Any]) -> None:
    """Its number of calls is no limit of time: each may take 14 minutes, and nothing would end it but their number."""
    resources = elsewhere()
    machine = definition(resources)

    assert machine["TimeoutSeconds"] == int(resource(resources)["Properties"]["ServiceTimeout"]) == 3315
    assert machine["StartAt"] == "framework-isComplete-task"
    assert set(machine["States"]) == {"framework-isComplete-task", "framework-onTimeout-task"}
    handlers = [resources[state["Resource"]]["Properties"]["Handler"] for state in machine["States"].values()]
    assert handlers == ["framework.isComplete", "framework.onTimeout"]


def test_a_framework_that_is_built_in_another_way_is_refused(
    elsewhere: Callable[..., Any], cdk: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than to leave its machine without a limit of time, and to say nothing."""
    from dbschema_infra import migration_provider

    monkeypatch.setattr(migration_provider, "_BEGINNING", '{"Comment":')

    with pytest.raises(UnknownFramework, match=r"requirements/infra\.txt"):
        elsewhere()


def test_the_framework_calls_both_functions_and_its_code_is_in_the_assembly(assembly: Assembly) -> None:
    framework = [
        each["Properties"]
        for each in assembly.resources("Migration", "AWS::Lambda::Function").values()
        if each["Properties"]["Handler"].startswith("framework.")
    ]

    assert {each["Handler"] for each in framework} == {
        "framework.onEvent",
        "framework.isComplete",
        "framework.onTimeout",
    }
    assert all(
        {"USER_ON_EVENT_FUNCTION_ARN", "USER_IS_COMPLETE_FUNCTION_ARN"}
        <= set(each["Environment"]["Variables"])
        for each in framework
    )
    assert not any("VpcConfig" in each for each in framework)
    assert (assembly.framework.parent / "cfn-response.js").exists()
    assert "USER_ON_EVENT_FUNCTION_ARN" in (assembly.framework.parent / "consts.js").read_text()


def test_the_framework_logs_no_events(assembly: Assembly) -> None:
    """Its events hold the address at which anybody can answer CloudFormation."""
    levels = {
        each["Properties"]["LoggingConfig"]["ApplicationLogLevel"]
        for each in assembly.resources("Migration", "AWS::Lambda::Function").values()
        if each["Properties"]["Handler"].startswith("framework.")
    }

    assert levels == {"FATAL"}


@pytest.mark.parametrize(
    ("call", "whole", "named"),
    [(900, 3300, "function_timeout"), (840, 3600, "migration_timeout"), (840, 600, "migration_timeout")],
)
def test_a_timeout_that_would_never_be_reached_is_refused(
    call: int, whole: int, named: str, elsewhere: Callable[..., Any], cdk: ModuleType
) -> None:
    with pytest.raises(BadSetting, match=named):
        elsewhere(function_timeout=cdk.Duration.seconds(call), migration_timeout=cdk.Duration.seconds(whole))


# --- When it runs ------------------------------------------------------------------------------


def test_the_custom_resource_comes_after_the_cluster_and_all_that_leads_to_it(
    elsewhere: Callable[..., Any],
) -> None:
    resources = elsewhere()

    before = {resources[name]["Type"] for name in resource(resources)["DependsOn"]}

    assert {
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::SecretsManager::SecretTargetAttachment",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::IAM::Policy",
    } <= before


def test_it_carries_the_head_revision_the_hash_of_the_code_and_the_database(
    elsewhere: Callable[..., Any],
) -> None:
    properties = resource(elsewhere())["Properties"]

    assert set(properties) == {"ServiceToken", "ServiceTimeout", "HeadRevision", "CodeHash", "Database"}
    assert properties["HeadRevision"] == "second"
    assert len(properties["CodeHash"]) == 64


def test_nothing_runs_when_nothing_changed_but_the_size_of_the_function(
    elsewhere: Callable[..., Any],
) -> None:
    before = resource(elsewhere())["Properties"]

    after = resource(elsewhere(memory=1024, environment={"POWERTOOLS_LOG_LEVEL": "DEBUG"}))["Properties"]

    assert after == before


def test_a_new_revision_runs(elsewhere: Callable[..., Any], tmp_path: Path) -> None:
    before = resource(elsewhere())["Properties"]
    newer = write_archive(tmp_path / "newer.zip", {"first": None, "second": "first", "third": "second"})

    after = resource(elsewhere(archive=newer))["Properties"]

    assert after["HeadRevision"] == "third"
    assert after["CodeHash"] != before["CodeHash"]


def test_revisions_of_an_application_tell_the_head(elsewhere: Callable[..., Any], archive: Path) -> None:
    """Those of the folder that the function is told to take, else it would refuse its own archive."""
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("shop/migrations/versions/1.py", "revision = 'theirs'\ndown_revision = None\n")

    built = elsewhere(environment={"DBSCHEMA_SCRIPT_LOCATION": "shop/migrations"})

    assert resource(built)["Properties"]["HeadRevision"] == "theirs"


def test_new_code_with_the_same_revisions_runs(elsewhere: Callable[..., Any], tmp_path: Path) -> None:
    before = resource(elsewhere())["Properties"]
    other = write_archive(
        tmp_path / "other.zip", {"first": None, "second": "first"}, code=HANDLER + "# new\n"
    )

    after = resource(elsewhere(archive=other))["Properties"]

    assert after["HeadRevision"] == before["HeadRevision"]
    assert after["CodeHash"] != before["CodeHash"]


def test_another_database_is_migrated_even_with_the_same_code(elsewhere: Callable[..., Any]) -> None:
    before = resource(elsewhere())["Properties"]["Database"]

    after = resource(elsewhere(database_name="other"))["Properties"]["Database"]

    assert before != after


# --- Any cluster, any app ----------------------------------------------------------------------


def test_a_cluster_from_elsewhere_is_reached_at_its_own_address(
    elsewhere: Callable[..., Any],
) -> None:
    resources = elsewhere(secret_with_key, secret_key_arn="arn:aws:kms:eu-west-1:123456789012:key/1234")

    for each in functions(resources).values():
        variables = each["Environment"]["Variables"]
        assert (variables["DB_HOST"], variables["DB_PORT"]) == ("theirs.example.com", "5433")
    let_in = [
        each["Properties"] for each in resources.values() if each["Type"] == "AWS::EC2::SecurityGroupIngress"
    ]
    assert [(rule["GroupId"], rule["FromPort"]) for rule in let_in] == [("sg-0123456789abcdef0", 5433)]
    assert resource(resources)["Properties"]["Database"] == "theirs.example.com/shop"


def test_a_secret_that_is_known_by_name_is_read_with_its_key(elsewhere: Callable[..., Any]) -> None:
    resources = elsewhere(secret_with_key, secret_key_arn="arn:aws:kms:eu-west-1:123456789012:key/1234")

    statements = [
        statement
        for each in resources.values()
        if each["Type"] == "AWS::IAM::Policy"
        for statement in each["Properties"]["PolicyDocument"]["Statement"]
    ]

    (read,) = (each for each in statements if each["Action"] == "secretsmanager:GetSecretValue")
    (decrypt,) = (each for each in statements if each["Action"] == "kms:Decrypt")
    assert json.dumps(read["Resource"]).endswith(':secret:rds!cluster-1234-??????"]]}')
    assert decrypt["Resource"] == "arn:aws:kms:eu-west-1:123456789012:key/1234"
    assert "kms:ViaService" in decrypt["Condition"]["StringEquals"]


def test_without_an_endpoint_the_secret_is_asked_for_by_https(elsewhere: Callable[..., Any]) -> None:
    resources = elsewhere()
    (group,) = {json.dumps(each["VpcConfig"]["SecurityGroupIds"]) for each in functions(resources).values()}
    logical = json.loads(group)[0]["Fn::GetAtt"][0]

    out = [
        (rule["CidrIp"], rule.get("FromPort"))
        for rule in resources[logical]["Properties"]["SecurityGroupEgress"]
    ]

    assert out == [("127.0.0.1/32", None), ("0.0.0.0/0", 443)]


def test_a_cluster_without_security_groups_is_refused(elsewhere: Callable[..., Any]) -> None:
    with pytest.raises(BadCluster, match=r"Theirs/Cluster came without security groups.*imported\.$"):
        elsewhere(imported(security_groups=[]))


def test_a_cluster_without_a_secret_is_refused(elsewhere: Callable[..., Any]) -> None:
    with pytest.raises(BadCluster, match=r"Theirs/Cluster has no secret here\. Hand one over as secret="):
        elsewhere(imported())


def test_a_missing_archive_says_how_to_build_it(elsewhere: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="make lambda"):
        elsewhere(archive=tmp_path / "none.zip")


def test_an_unknown_architecture_is_refused(elsewhere: Callable[..., Any]) -> None:
    with pytest.raises(BadSetting, match="Choose arm64 or x86_64"):
        elsewhere(architecture="arm")


def test_tracing_is_off_unless_asked_for(elsewhere: Callable[..., Any], assembly: Assembly) -> None:
    traced = functions(elsewhere(tracing=True))
    plain = functions(assembly.resources("Migration"))

    assert {each["TracingConfig"]["Mode"] for each in traced.values()} == {"Active"}
    assert not any("TracingConfig" in each for each in plain.values())
