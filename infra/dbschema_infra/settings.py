"""Every choice that a deployment makes, as one frozen value: a stage, and what deviates from it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dbschema_infra.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_DAYS: Final = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    120: "FOUR_MONTHS",
    150: "FIVE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
    400: "THIRTEEN_MONTHS",
    545: "EIGHTEEN_MONTHS",
    731: "TWO_YEARS",
    1827: "FIVE_YEARS",
    3653: "TEN_YEARS",
}
"""How long CloudWatch can keep logs: numbers of days, and CDK's words for them. It knows no others."""

_PLAIN: Final = re.compile(r"[a-z][a-z_]*", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_.-]+)+", re.ASCII)
_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One deployment. `DEVELOPMENT` and `PRODUCTION` are the two to start from.

    Args:
        stage: what it is for; part of every name.
        project: the first part of every name.
        cidr: the addresses of the network.
        nat_gateways: the way out for the private subnets: 0 for none, 1 for both zones, 2 for one in each.
        secrets_endpoint_zones: in how many zones the endpoint of Secrets Manager stands; each costs by the hour.
        engine_version: Aurora PostgreSQL, such as "18.6".
        database_name: the database that is made with the cluster, and migrated.
        owner: the user of the secret, who owns the schema.
        port: where the database listens.
        instances: 1, or 2 for one that takes over in the other zone.
        min_capacity: in Aurora capacity units, by halves; 0 lets the database pause.
        max_capacity: in Aurora capacity units, by halves.
        pause_after_seconds: without a connection, where `min_capacity` is 0; 300 to 86,400.
        backup_days: how far back the database can be restored, 1 to 35.
        protected: deletion is refused.
        keep: a last snapshot, its key, the backups and the logs outlive the stack.
        proxy: RDS Proxy in front of the database. It holds connections open, so nothing behind it pauses.
        rotation_days: how often the password changes, 1 to 1,000.
        parameter_prefix: of the parameters `endpoint`, `port`, `name`, `credentials-arn`.
        architecture: of the migration function and its archive: "arm64" or "x86_64".
        memory: of the migration function, in MiB; its share of a processor grows with it.
        function_timeout_seconds: of one call, at most 840: whoever calls ends at 900.
        migration_timeout_seconds: of one deployment's whole migration, at most 3,585: CloudFormation ends at 3,600.
        tracing: X-Ray for the migration function.
        log_days: how long logs are kept, one of `LOG_DAYS`.
        alarm_email: who is told of an alarm; None: who subscribes to the topic.
        connections_alarm: how many connections are too many; about 80 % of what `max_capacity` allows.
        tags: for every resource, beside Project, Environment and ManagedBy.
    """

    stage: str
    project: str = "dbschema"
    cidr: str = "10.0.0.0/16"
    nat_gateways: int
    secrets_endpoint_zones: int
    engine_version: str = "18.6"
    database_name: str = "dbschema"
    owner: str = "dbschema_owner"
    port: int = 5432
    instances: int
    min_capacity: float
    max_capacity: float
    pause_after_seconds: int = 900
    backup_days: int
    protected: bool
    keep: bool
    proxy: bool
    rotation_days: int = 30
    parameter_prefix: str = "/app/database"
    architecture: str = "arm64"
    memory: int = 512
    function_timeout_seconds: int = 840
    migration_timeout_seconds: int = 3300
    tracing: bool = False
    log_days: int
    alarm_email: str | None = None
    connections_alarm: int
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed, what in self._rules():
            if not allowed:
                raise BadSetting(f"The setting {name} is {getattr(self, name)!r}", what)

    @property
    def name(self) -> str:
        """The beginning of every name, such as 'dbschema-production'."""
        return f"{self.project}-{self.stage}"

    def _rules(self) -> tuple[tuple[str, bool, str], ...]:
        halves = "Choose 0 to 256 capacity units, by halves"
        return (
            ("stage", _matches(_NAME, self.stage), "Choose small letters, digits and single hyphens"),
            ("project", _matches(_NAME, self.project), "Choose small letters, digits and single hyphens"),
            ("name", len(self.name) <= 40, "Choose a shorter project or stage: names are made with it"),
            ("nat_gateways", self.nat_gateways in range(3), "Choose 0, 1 or 2"),
            ("secrets_endpoint_zones", self.secrets_endpoint_zones in {1, 2}, "Choose 1 or 2"),
            (
                "engine_version",
                re.fullmatch(r"\d\d\.\d+", self.engine_version) is not None,
                "Choose one such as 18.6",
            ),
            ("database_name", _matches(_IDENTIFIER, self.database_name), "Choose a PostgreSQL name"),
            ("owner", _matches(_IDENTIFIER, self.owner), "Choose a PostgreSQL name"),
            (
                "owner",
                not self.owner.startswith(("pg_", "rds")),
                "Choose one that PostgreSQL does not reserve",
            ),
            ("port", 1150 <= self.port <= 65535, "Choose 1150 to 65535"),
            ("instances", self.instances in {1, 2}, "Choose 1 or 2"),
            ("min_capacity", 0 <= self.min_capacity <= 256 and self.min_capacity % 0.5 == 0, halves),
            ("max_capacity", 1 <= self.max_capacity <= 256 and self.max_capacity % 0.5 == 0, halves),
            ("max_capacity", self.max_capacity >= self.min_capacity, "Choose no less than min_capacity"),
            ("pause_after_seconds", 300 <= self.pause_after_seconds <= 86400, "Choose 300 to 86400"),
            ("backup_days", 1 <= self.backup_days <= 35, "Choose 1 to 35"),
            (
                "proxy",
                not (self.proxy and self.min_capacity == 0),
                "Choose a min_capacity above 0: the proxy's open connections never let the database pause",
            ),
            ("rotation_days", 1 <= self.rotation_days <= 1000, "Choose 1 to 1000"),
            (
                "parameter_prefix",
                _matches(_PREFIX, self.parameter_prefix),
                "Choose one such as /app/database",
            ),
            ("architecture", self.architecture in {"arm64", "x86_64"}, "Choose arm64 or x86_64"),
            ("memory", 128 <= self.memory <= 10240, "Choose 128 to 10240"),
            ("function_timeout_seconds", 30 <= self.function_timeout_seconds <= 840, "Choose 30 to 840"),
            (
                "migration_timeout_seconds",
                self.function_timeout_seconds <= self.migration_timeout_seconds <= 3585
                and self.migration_timeout_seconds % 15 == 0,
                "Choose a multiple of 15, no less than function_timeout_seconds and at most 3585",
            ),
            ("log_days", self.log_days in LOG_DAYS, f"Choose one of {', '.join(map(str, LOG_DAYS))}"),
            ("alarm_email", self.alarm_email is None or "@" in self.alarm_email, "Choose an address"),
            ("connections_alarm", self.connections_alarm >= 1, "Choose 1 or more"),
        )


DEVELOPMENT: Final = Settings(
    stage="development",
    nat_gateways=0,
    secrets_endpoint_zones=1,
    instances=1,
    min_capacity=0,
    max_capacity=2,
    backup_days=1,
    protected=False,
    keep=False,
    proxy=False,
    log_days=7,
    connections_alarm=300,
)
"""Cheap: it pauses when nobody is connected, has one instance, and goes with its stack."""

PRODUCTION: Final = Settings(
    stage="production",
    nat_gateways=2,
    secrets_endpoint_zones=2,
    instances=2,
    min_capacity=1,
    max_capacity=16,
    backup_days=35,
    protected=True,
    keep=True,
    proxy=True,
    log_days=365,
    connections_alarm=2600,
)
"""Two instances in two zones, a proxy, five weeks of backups; it refuses to be deleted, and leaves a snapshot."""

STAGES: Final = {settings.stage: settings for settings in (DEVELOPMENT, PRODUCTION)}

NOT_SETTINGS: Final = ("archive",)
"""What else `-c` may name."""


def read(context: Mapping[str, Any]) -> Settings:
    """The stage that the context of a CDK app names, with what it changes.

    Args:
        context: such as `{"stage": "production", "max_capacity": "32"}`; values may be strings, as from `cdk -c`.
            Keys with anything but small letters and underscores belong to CDK. Without a stage: `DEVELOPMENT`.
            A stage of another name starts from the one that `like` names.

    Raises:
        BadSetting: a key is no setting, or a value cannot be read or used.
    """
    stage = str(context.get("stage", DEVELOPMENT.stage))
    like = str(context.get("like", stage))
    if like not in STAGES:
        raise BadSetting(
            f"The stage {like!r} is unknown",
            f"Choose {' or '.join(STAGES)}, or say -c like=… which one it resembles",
        )
    fields = {each.name: each for each in dataclasses.fields(Settings)}
    changes: dict[str, Any] = {"stage": stage}
    for key, value in context.items():
        if key in fields:
            changes[key] = _parsed(key, str(fields[key].type), value)
        elif _PLAIN.fullmatch(key) and key != "like" and key not in NOT_SETTINGS:
            raise BadSetting(f"There is no setting {key!r}", f"Choose among {', '.join(fields)}")
    return dataclasses.replace(STAGES[like], **changes)


def _parsed(name: str, kind: str, value: Any) -> Any:
    if not isinstance(value, str):
        value = (
            ",".join(f"{key}={each}" for key, each in value.items())
            if isinstance(value, dict)
            else str(value)
        )
    try:
        match kind:
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "bool":
                return _WORDS[value.lower()]
            case "str | None":
                return value or None
            case "Mapping[str, str]":
                return dict(each.split("=", 1) for each in value.split(",") if each)
    except (ValueError, KeyError):
        words = {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(
            kind, "name=value,…"
        )
        raise BadSetting(f"The setting {name} is {value!r}", f"Write {words}") from None
    return value
