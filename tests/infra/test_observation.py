"""Alarms, the topic that they speak to, and the dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from synthesis import Assembly

DATABASE = {"CPUUtilization", "DatabaseConnections", "ACUUtilization", "MaximumUsedTransactionIDs"}


def alarms(assembly: Assembly) -> list[dict[str, Any]]:
    return [
        each["Properties"]
        for stack in ("Database", "Migration")
        for each in assembly.resources(stack, "AWS::CloudWatch::Alarm").values()
    ]


@pytest.mark.parametrize(
    ("stage", "metrics"),
    [("development", DATABASE), ("production", DATABASE | {"AuroraReplicaLagMaximum"})],
)
def test_there_is_an_alarm_for_what_fills_up_or_falls_behind(
    stage: str, metrics: set[str], request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)

    found = {each["MetricName"] for each in alarms(assembly) if "MetricName" in each}

    assert found == metrics


def test_a_failed_call_of_either_function_is_an_alarm(assembly: Assembly) -> None:
    (alarm,) = (each for each in alarms(assembly) if "Metrics" in each)
    functions = {
        name
        for name, each in assembly.resources("Migration", "AWS::Lambda::Function").items()
        if each["Properties"]["Handler"].startswith("lambda_entry.")
    }

    watched = {
        metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]: metric["Id"]
        for metric in alarm["Metrics"]
        if "MetricStat" in metric
    }
    (expression,) = (metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric)

    assert set(watched) == functions
    assert set(expression.split(" + ")) == set(watched.values())
    assert len(functions) == 2
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 1)


def test_every_alarm_tells_the_topic_and_explains_itself(assembly: Assembly) -> None:
    for alarm in alarms(assembly):
        (action,) = alarm["AlarmActions"]
        assert "NotificationsTopic" in json.dumps(action)
        assert alarm["AlarmDescription"].endswith((".", "?"))


def test_a_paused_database_is_no_alarm(assembly: Assembly) -> None:
    assert {each["TreatMissingData"] for each in alarms(assembly)} == {"notBreaching"}


def test_the_topic_is_encrypted_and_cloudwatch_can_use_its_key(assembly: Assembly) -> None:
    """Where it cannot, alarms go off and nobody is told."""
    (topic,) = assembly.resources("Database", "AWS::SNS::Topic").values()
    ((name, key),) = assembly.resources("Database", "AWS::KMS::Key").items()

    rights = {
        action
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        for action in statement["Action"]
    }

    assert topic["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": [name, "Arn"]}
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= rights


def test_the_address_of_the_setting_is_subscribed(assembly: Assembly) -> None:
    (subscription,) = assembly.resources("Database", "AWS::SNS::Subscription").values()

    assert subscription["Properties"]["Protocol"] == "email"
    assert subscription["Properties"]["Endpoint"] == "night@example.com"


def test_the_dashboard_shows_the_database_and_both_functions(assembly: Assembly) -> None:
    (dashboard,) = assembly.resources("Database", "AWS::CloudWatch::Dashboard").values()
    parts = dashboard["Properties"]["DashboardBody"]["Fn::Join"][1]
    # What CloudFormation fills in is put there as a name.
    body = json.loads("".join(part if isinstance(part, str) else "x" for part in parts))

    metrics = {metric[1] for widget in body["widgets"] for metric in widget["properties"].get("metrics", ())}
    functions = {
        metric[3]
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", ())
        if metric[0] == "AWS/Lambda"
    }

    assert {
        "CPUUtilization",
        "ServerlessDatabaseCapacity",
        "DatabaseConnections",
        "Errors",
        "Duration",
    } <= metrics
    assert functions == {
        each["Properties"]["FunctionName"]
        for each in assembly.resources("Migration", "AWS::Lambda::Function").values()
        if "FunctionName" in each["Properties"]
    }
