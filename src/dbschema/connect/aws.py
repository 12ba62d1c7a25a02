"""What AWS is asked for: secrets, parameters, tokens, and the calls of the RDS Data API. The only module that imports boto3.

Region, credentials and endpoints are boto3's own affair (AWS_REGION, profiles, roles, AWS_ENDPOINT_URL); where an ARN or
the name of a host tells the region, that one counts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from dbschema.connect.errors import AwsRefused, bad_secret
from dbschema.errors import ExtraMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from boto3.session import Session
    from botocore.config import Config
    from mypy_boto3_rds import RDSClient

Stage = Literal["AWSCURRENT", "AWSPREVIOUS"]

_ARN: Final = re.compile(r"arn:[\w-]+:(?:secretsmanager|ssm|rds):([\w-]+):")
_RDS_HOST: Final = re.compile(r"\.([a-z]{2,4}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com", re.IGNORECASE)
_LIBRARIES: Final = ("boto3", "botocore", "urllib3")
_LOCK: Final = threading.RLock()

_STEPS: Final = {
    "AccessDeniedException": "Allow {action} on it for this role, and kms:Decrypt on its key where it has one of its own",
    "ResourceNotFoundException": "Correct it; region and account are part of an ARN",
    "ParameterNotFound": "Correct it; region and account must be those of the parameters",
    "DecryptionFailure": "Allow kms:Decrypt on its key for this role",
    "ExpiredTokenException": "Renew the credentials, for example with 'aws sso login'",
    "UnrecognizedClientException": "Renew the credentials, for example with 'aws sso login'",
    "InvalidSignatureException": "Correct the credentials",
    # Those of the Data API.
    "ForbiddenException": "Allow {action} on it for this role",
    "HttpEndpointNotEnabledException": "Switch the Data API on: aws rds enable-http-endpoint --resource-arn ARN",
    "SecretsErrorException": "Correct AURORA_SECRET_ARN, or allow secretsmanager:GetSecretValue on it for this role, and kms:Decrypt on its key",
    "InvalidSecretException": 'Give the secret the form {{"username": …, "password": …}} of Secrets Manager',
    "DatabaseNotFoundException": "Give the cluster an instance",
    "DatabaseUnavailableException": "See in the console whether the cluster has a writer that runs, and repeat",
}
_OTHER_STEP: Final = (
    "Check credentials, region and the way to AWS (in isolated subnets: the endpoint of the service)"
)


@dataclass(frozen=True)
class Secret:
    """What a secret says of a database; what it leaves open is None. Its `repr` shows no value but the host."""

    username: str
    password: str = field(repr=False)
    host: str | None = None
    port: str | None = None
    dbname: str | None = None


def read_secret(name: str, source: str, stage: Stage = "AWSCURRENT") -> Secret:
    """Read a secret of Secrets Manager: a whole one, or one with user name and password only, as RDS manages it.

    Args:
        name: its name or ARN.
        source: the variable that names it, for errors.
        stage: which of its versions.

    Raises:
        ExtraMissing: boto3 is not installed.
        AwsRefused: it cannot be read.
        BadAddress: it does not describe a PostgreSQL database.
    """
    with _asking(source, f"the secret {name!r}", "secretsmanager:GetSecretValue") as (session, config):
        client = session.client("secretsmanager", region_name=_region(name, session), config=config)
        answer = client.get_secret_value(SecretId=name, VersionStage=stage)
    return _parsed(answer.get("SecretString"), name, source)


def read_parameters(names: Sequence[str], source: str) -> dict[str, str]:
    """Read parameters of the parameter store, encrypted ones too; those that do not exist are left out.

    Raises:
        ExtraMissing, AwsRefused: as `read_secret`.
    """
    with _asking(source, f"the parameters {', '.join(names)}", "ssm:GetParameters") as (session, config):
        client = session.client("ssm", region_name=_region("", session), config=config)
        answer = client.get_parameters(Names=list(names), WithDecryption=True)
    return {one["Name"]: one["Value"] for one in answer["Parameters"]}


def auth_token(host: str, port: int, user: str, source: str) -> str:
    """A password for one connection of `user`, which AWS accepts for 15 minutes; made here, AWS is not asked.

    Args:
        host: as the cluster, instance or proxy calls itself: the token is for this name.

    Raises:
        ExtraMissing, AwsRefused: as `read_secret`.
    """
    with _asking(source, f"a token for {user!r} at {host}:{port}", "rds-db:connect") as (session, config):
        known = _RDS_HOST.search(host)
        region = known[1] if known else session.region_name
        return _rds(session, region, config).generate_db_auth_token(
            DBHostname=host, Port=port, DBUsername=user
        )


def call_data_api(operation: str, cluster: str, source: str, **arguments: str) -> dict[str, Any]:
    """Make one call to the RDS Data API. It is never repeated here: whether it was carried out is not known to its client.

    Args:
        operation: as boto3 calls it, such as "execute_statement".
        cluster: the ARN of the cluster.
        source: the variable that names it, for errors.
        arguments: of the call.

    Raises:
        ExtraMissing: boto3 is not installed.
        AwsRefused: the API refuses, or does not answer (`aws_code` None).
    """
    action = f"rds-data:{operation.title().replace('_', '')}"
    with _asking(source, f"the Data API of {cluster}", action) as (session, _):
        call = getattr(_data_api(session, _region(cluster, session)), operation)
        answer: dict[str, Any] = call(resourceArn=cluster, **arguments)
    return answer


@contextmanager
def _asking(source: str, thing: str, action: str) -> Iterator[tuple[Session, Config]]:
    """A session and the limits of its calls; what AWS refuses in this block is translated, and nothing of it logged."""
    try:
        import boto3.session  # noqa: F401, PLC0415  an extra, and slow to import
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  as above
    except ImportError as error:
        raise ExtraMissing(f"{source} needs boto3, which is not installed", "aws") from error
    try:
        with _quiet():
            yield _session(os.getpid(), _aws_variables()), _limits()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        reason = _one_line(f"{code}: {error.response.get('Error', {}).get('Message', '')}")
        step = _STEPS.get(code, _OTHER_STEP).format(action=action)
        raise AwsRefused(source, thing, reason, aws_code=code, next_step=step) from error
    except BotoCoreError as error:
        raise AwsRefused(
            source, thing, _one_line(str(error)), aws_code=None, next_step=_OTHER_STEP
        ) from error


def _aws_variables() -> int:
    """The variables of AWS to be compared, without their values: a key is one of them."""
    return hash(frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=1)
def _session(_process: int, _variables: int) -> Session:
    """One session for a process and its variables: it renews credentials, which a new one would fetch each time."""
    import boto3.session  # noqa: PLC0415  an extra, and slow to import

    return boto3.session.Session()


@lru_cache(maxsize=1)
def _limits() -> Config:
    """A service that cannot be reached is given up within half a minute."""
    from botocore.config import Config  # noqa: PLC0415  as above

    return Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


@lru_cache(maxsize=4)
def _rds(session: Session, region: str | None, config: Config) -> RDSClient:
    """A client for tokens, which are made for every connection; the client costs far more time than a token."""
    return session.client("rds", region_name=region, config=config)


@lru_cache(maxsize=4)
def _data_api(session: Session, region: str | None) -> Any:  # its types are no dependency of ours
    from botocore.config import Config  # noqa: PLC0415  as above

    # The API ends a statement after 45 seconds.
    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 1})
    return session.client("rds-data", region_name=region, config=config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries below from logging requests and answers, which at the level DEBUG hold secrets and tokens."""
    with _LOCK:
        names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
        before = {
            logger: logger.level
            for logger in map(logging.getLogger, {*names, *_LIBRARIES})
            if logger.getEffectiveLevel() < logging.INFO
        }
        for logger in before:
            logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            for logger, level in before.items():
                logger.setLevel(level)


def _region(name: str, session: Session) -> str | None:
    known = _ARN.match(name)
    return known[1] if known else session.region_name


def _parsed(text: str | None, name: str, source: str) -> Secret:
    try:
        found = json.loads(text or "")
    except ValueError:
        found = None
    # Raised outside of the block above: the error of the parser carries the whole text.
    if not isinstance(found, dict):
        raise bad_secret(source, name, "is no JSON object")
    values = {key: str(value) for key, value in found.items() if value not in (None, "")}
    if missing := [key for key in ("username", "password") if key not in values]:
        raise bad_secret(source, name, f"holds no {' and no '.join(missing)}")
    if "postgres" not in values.get("engine", "postgres"):
        raise bad_secret(source, name, "is that of another kind of database than PostgreSQL")
    return Secret(
        values["username"],
        values["password"],
        values.get("host"),
        values.get("port"),
        values.get("dbname") or values.get("database"),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
