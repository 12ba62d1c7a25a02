"""The app as a whole: what it says when it cannot go on, and what it leaves for CloudFormation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dbschema_infra.errors import BadArchive, BadSetting
from synthesis import INFRA, missing_tools, run_app, write_archive

if TYPE_CHECKING:
    from types import ModuleType

    from synthesis import Assembly

UNTAGGED = {
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::Policy",
    "AWS::KMS::Alias",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::SecretsManager::SecretTargetAttachment",
    "Custom::DbSchemaMigration",
}
"""What AWS cannot tag."""

PREFIX = "CloudFormation-Validate::"


def test_without_the_archive_the_app_says_how_to_build_it(tmp_path: Path) -> None:
    assert missing_tools() == ""

    done = run_app(tmp_path / "out", archive=str(tmp_path / "nowhere.zip"))

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"The archive {tmp_path}/nowhere.zip cannot be read: No such file or directory. Build it with: make lambda."
    ]
    assert done.stdout == ""


def test_an_archive_without_the_last_revision_is_refused(cdk: ModuleType, tmp_path: Path) -> None:
    """The app takes dist/ and alembic/versions beside it, and does not deploy what is older than the revisions."""
    from dbschema_infra.application import build

    write_archive(tmp_path / "dist" / "lambda-arm64.zip", {"first": None})
    versions = tmp_path / "alembic" / "versions"
    versions.mkdir(parents=True)
    (versions / "1.py").write_text("revision = 'first'\ndown_revision = None\n")
    (versions / "2.py").write_text("revision = 'second'\ndown_revision = 'first'\n")

    with pytest.raises(
        BadArchive, match=r"ends at revision first, but .*versions at second\. .* make lambda"
    ):
        build(tmp_path)


def test_the_archive_of_the_architecture_is_taken(cdk: ModuleType, tmp_path: Path) -> None:
    from dbschema_infra.application import build

    with pytest.raises(BadArchive, match=r"dist/lambda-x86_64\.zip cannot be read"):
        build(tmp_path, {"architecture": "x86_64"})


def test_a_wrong_setting_is_refused(cdk: ModuleType, tmp_path: Path) -> None:
    from dbschema_infra.application import build

    with pytest.raises(BadSetting, match="The stage 'prod' is unknown"):
        build(tmp_path, {"stage": "prod"})


def test_the_app_was_synthesised_without_an_account(assembly: Assembly) -> None:
    environments = {
        each["environment"]
        for each in assembly.manifest["artifacts"].values()
        if each["type"] == "aws:cloudformation:stack"
    }

    assert environments == {"aws://unknown-account/unknown-region"}
    assert not assembly.manifest.get("missing")


def test_the_migration_comes_after_the_database(assembly: Assembly) -> None:
    assert "Database" in assembly.manifest["artifacts"]["Migration"]["dependencies"]


def test_only_the_protected_stage_refuses_to_be_deleted(development: Assembly, production: Assembly) -> None:
    def protection(assembly: Assembly) -> Any:
        return assembly.manifest["artifacts"]["Database"]["properties"].get("terminationProtection", False)

    assert protection(production) is True
    assert protection(development) is False


def test_everything_that_can_be_tagged_says_whose_it_is(assembly: Assembly) -> None:
    stage = assembly.folder.name
    wanted = {"Project": "dbschema", "Environment": stage, "ManagedBy": "cdk"}

    for stack in ("Database", "Migration"):
        for name, resource in assembly.resources(stack).items():
            tags = resource.get("Properties", {}).get("Tags", {})
            found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            expected = {} if resource["Type"] in UNTAGGED else wanted
            assert expected.items() <= found.items(), f"{name} ({resource['Type']})"


def test_the_outputs_name_what_an_operator_needs(assembly: Assembly) -> None:
    database = set(assembly.template("Database")["Outputs"])
    migration = assembly.template("Migration")["Outputs"]

    assert {
        "VpcId",
        "Endpoint",
        "ReaderEndpoint",
        "Port",
        "DatabaseName",
        "ClusterArn",
        "SecretArn",
        "ParameterPrefix",
        "AlarmTopicArn",
        "DashboardName",
    } <= database
    assert ("ProxyEndpoint" in database) == (assembly.folder.name == "production")
    assert migration["HeadRevision"]["Value"] == "second"
    assert "FunctionName" in migration


def test_no_template_names_this_machine(assembly: Assembly) -> None:
    for stack in ("Database", "Migration"):
        text = (assembly.folder / f"{stack}.template.json").read_text()
        assert str(Path.home()) not in text
        assert str(INFRA) not in text


def test_cfn_lint_has_no_finding(development: Assembly, production: Assembly) -> None:
    templates = [
        str(path) for each in (development, production) for path in each.folder.glob("*.template.json")
    ]
    # W3005: CDK writes a dependency that a reference implies already; CloudFormation does not mind.
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [linter, "--ignore-checks", "W3005", "--", *templates]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert len(templates) == 4
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_accepted_finding_exists_and_has_a_reason(
    cdk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synthesised without any acknowledgement, the app has exactly the findings that are accepted: none is left over."""
    from dbschema_infra import acknowledge, application

    accepted: list[tuple[str, str, str]] = []

    class Recorder:
        def __init__(self, construct: Any) -> None:
            self.path = construct.node.path

        @classmethod
        def of(cls, construct: Any) -> Recorder:
            return cls(construct)

        def acknowledge(self, *rules: Any) -> None:
            accepted.extend((self.path, rule.id, rule.reason) for rule in rules)

    monkeypatch.setattr(acknowledge, "Validations", Recorder)
    archive = write_archive(tmp_path / "lambda.zip", {"first": None})
    app = application.build(tmp_path, {"archive": str(archive), "tracing": True}, tmp_path / "out")

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()

    report = json.loads((tmp_path / "out" / "validation-report.json").read_text())
    found = {
        (place["constructPath"], violation["ruleName"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for place in violation["violatingConstructs"]
    }
    covered = set()
    for path, rule, reason in accepted:
        here = {
            finding
            for finding in found
            if finding[0].startswith(path + "/") and finding[1] == rule.removeprefix(PREFIX)
        }
        assert here, f"{rule} is accepted for {path}, where it is not found any more"
        assert len(reason.split()) > 5, f"{rule} is accepted for {path} without a reason"
        covered |= here
    assert found == covered
    assert {plugin["pluginName"] for plugin in report["pluginReports"]} == {
        "AwsSolutions",
        "CloudFormation Validate",
    }
