"""Settings: two stages to start from, and no choice that AWS would refuse after half an hour."""

from __future__ import annotations

import dataclasses

import pytest
from dbschema_infra.errors import BadSetting
from dbschema_infra.settings import DEVELOPMENT, PRODUCTION, Settings, read


def test_development_pauses_and_can_be_taken_apart() -> None:
    assert DEVELOPMENT.min_capacity == 0
    assert DEVELOPMENT.instances == 1
    assert not DEVELOPMENT.protected
    assert not DEVELOPMENT.keep
    assert not DEVELOPMENT.proxy
    assert DEVELOPMENT.nat_gateways == 0


def test_production_has_two_of_what_can_fail_and_is_protected() -> None:
    assert PRODUCTION.instances == PRODUCTION.nat_gateways == PRODUCTION.secrets_endpoint_zones == 2
    assert PRODUCTION.protected
    assert PRODUCTION.keep
    assert PRODUCTION.proxy
    assert PRODUCTION.backup_days == 35
    assert PRODUCTION.log_days == 365


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEVELOPMENT.instances = 2  # type: ignore[misc]  # that this is refused is what is tested


def test_without_a_stage_it_is_development() -> None:
    assert read({}) == DEVELOPMENT


def test_the_command_line_changes_single_settings_in_their_own_types() -> None:
    context = {
        "stage": "production",
        "max_capacity": "32",
        "min_capacity": "0.5",
        "instances": "1",
        "proxy": "false",
        "tracing": "true",
        "alarm_email": "night@example.com",
        "tags": "Team=data,CostCentre=12",
    }

    settings = read(context)

    assert settings == dataclasses.replace(
        PRODUCTION,
        max_capacity=32.0,
        min_capacity=0.5,
        instances=1,
        proxy=False,
        tracing=True,
        alarm_email="night@example.com",
        tags={"Team": "data", "CostCentre": "12"},
    )


def test_cdk_json_may_hold_numbers_and_objects() -> None:
    settings = read({"max_capacity": 4, "tracing": True, "tags": {"Team": "data"}})

    assert (settings.max_capacity, settings.tracing, settings.tags) == (4.0, True, {"Team": "data"})


def test_a_further_stage_says_which_one_it_resembles() -> None:
    settings = read({"stage": "staging", "like": "production"})

    assert settings == dataclasses.replace(PRODUCTION, stage="staging")
    assert settings.name == "dbschema-staging"


def test_what_cdk_itself_puts_into_the_context_is_left_alone() -> None:
    assert (
        read({"@aws-cdk/core:checkSecretUsage": True, "aws:cdk:version": "2", "archive": "x"}) == DEVELOPMENT
    )


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "prod"}, "The stage 'prod' is unknown. Choose development or production"),
        ({"max_capacty": "8"}, "There is no setting 'max_capacty'. Choose among stage, project"),
        ({"instances": "two"}, "The setting instances is 'two'. Write a whole number."),
        ({"max_capacity": "much"}, "The setting max_capacity is 'much'. Write a number."),
        ({"proxy": "perhaps"}, "The setting proxy is 'perhaps'. Write true or false."),
        ({"tags": "Team"}, "The setting tags is 'Team'. Write name=value,…."),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(context: dict[str, str], message: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read(context)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "Production"},
        {"stage": "a" * 40},
        {"project": "db_schema"},
        {"nat_gateways": 3},
        {"secrets_endpoint_zones": 0},
        {"engine_version": "18"},
        {"database_name": "my-database"},
        {"owner": "rdsadmin"},
        {"owner": "pg_owner"},
        {"port": 443},
        {"instances": 3},
        {"min_capacity": 0.3},
        {"min_capacity": -1},
        {"max_capacity": 0.5},
        {"max_capacity": 257},
        {"min_capacity": 8, "max_capacity": 4},
        {"min_capacity": float("nan")},
        {"pause_after_seconds": 60},
        {"backup_days": 0},
        {"backup_days": 36},
        {"proxy": True},
        {"rotation_days": 0},
        {"parameter_prefix": "app/database"},
        {"parameter_prefix": "/app/database/"},
        {"architecture": "x86"},
        {"memory": 64},
        {"function_timeout_seconds": 900},
        {"migration_timeout_seconds": 3600},
        {"migration_timeout_seconds": 600},
        {"migration_timeout_seconds": 3299},
        {"log_days": 10},
        {"alarm_email": "nobody"},
        {"connections_alarm": 0},
    ],
    ids=str,
)
def test_what_aws_would_refuse_is_refused_at_once(change: dict[str, object]) -> None:
    with pytest.raises(BadSetting) as caught:
        dataclasses.replace(DEVELOPMENT, **change)  # type: ignore[arg-type]  # wrong values are what is tested

    assert any(name in str(caught.value) for name in change)


def test_a_proxy_is_refused_where_the_database_is_to_pause() -> None:
    """The proxy holds connections open: the database would never pause, and nobody would see why it costs."""
    with pytest.raises(BadSetting, match="never let the database pause"):
        dataclasses.replace(DEVELOPMENT, proxy=True)


def test_every_setting_is_described() -> None:
    described = Settings.__doc__ or ""

    missing = [
        field.name for field in dataclasses.fields(Settings) if f"        {field.name}: " not in described
    ]

    assert missing == []
