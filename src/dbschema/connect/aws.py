"""Call AWS: secrets, parameters, tokens and the RDS Data API. This is the only module that imports boto3.

boto3 determines region, credentials and endpoints (AWS_REGION, profiles, roles, AWS_ENDPOINT_URL). The region in an ARN
or in the name of a host takes precedence.
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

from dbschema.connect.errors import AwsDenied, bad_secret
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
    "AccessDeniedException": "Allow {action} on it for this role, and kms:Decrypt if it has a key of its own",
    "ResourceNotFoundException": "Correct it; region and account are part of an ARN",
    "ParameterNotFound": "Correct it; the parameters must be in this region and account",
    "DecryptionFailure": "Allow kms:Decrypt on its key for this role",
    "ExpiredTokenException": "Renew the credentials, for example with 'aws sso login'",
    "UnrecognizedClientException": "Renew the credentials, for example with 'aws sso login'",
    "InvalidSignatureException": "Correct the credentials",
    # Codes of the Data API.
    "ForbiddenException": "Allow {action} on it for this role",
    "HttpEndpointNotEnabledException": "Enable the Data API: aws rds enable-http-endpoint --resource-arn ARN",
    "SecretsErrorException": "Correct AURORA_SECRET_ARN, or allow secretsmanager:GetSecretValue on it for this role, and kms:Decrypt on its key",
    "InvalidSecretException": 'Give the secret the form {{"username": …, "password": …}} of Secrets Manager',
    "DatabaseNotFoundException": "Add an instance to the cluster",
    "DatabaseUnavailableException": "Check in the console that the cluster has a running writer, and repeat",
}
_OTHER_STEP: Final = (
    "Check credentials, region and the network path to AWS (in isolated subnets: the endpoint of the service)"
)


@dataclass(frozen=True)
class Secret:
    """The fields of a secret that describe a database; None: not in the secret. Its `repr` hides the password."""

    username: str
    password: str = field(repr=False)
    host: str | None = None
    port: str | None = None
    dbname: str | None = None


def read_secret(name: str, source: str, stage: Stage = "AWSCURRENT") -> Secret:
    """Read a secret of Secrets Manager.

    A secret that RDS manages contains only user name and password.

    Args:
        name: the name or ARN of the secret.
        source: the variable that names the secret, for errors.
        stage: the version of the secret.

    Raises:
        ExtraMissing: boto3 is not installed.
        AwsDenied: the secret cannot be read.
        BadAddress: the secret does not describe a PostgreSQL database.
    """
    with _asking(source, f"the secret {name!r}", "secretsmanager:GetSecretValue") as (session, config):
        client = session.client("secretsmanager", region_name=_region(name, session), config=config)
        response = client.get_secret_value(SecretId=name, VersionStage=stage)
    return _parsed(response.get("SecretString"), name, source)


def read_parameters(names: Sequence[str], source: str) -> dict[str, str]:
    """Read parameters of the parameter store, and decrypt them; omit those that do not exist.

    Raises:
        ExtraMissing, AwsDenied: see `read_secret`.
    """
    with _asking(source, f"the parameters {', '.join(names)}", "ssm:GetParameters") as (session, config):
        client = session.client("ssm", region_name=_region("", session), config=config)
        response = client.get_parameters(Names=list(names), WithDecryption=True)
    return {parameter["Name"]: parameter["Value"] for parameter in response["Parameters"]}


def auth_token(host: str, port: int, user: str, source: str) -> str:
    """Create an IAM token: a password for a connection of `user` that AWS accepts for 15 minutes.

    The token is signed locally, without a call to AWS.

    Args:
        host: the host name of the cluster, instance or proxy; the token is valid for this name only.

    Raises:
        ExtraMissing, AwsDenied: see `read_secret`.
    """
    with _asking(source, f"a token for {user!r} at {host}:{port}", "rds-db:connect") as (session, config):
        known = _RDS_HOST.search(host)
        region = known[1] if known else session.region_name
        return _rds(session, region, config).generate_db_auth_token(
            DBHostname=host, Port=port, DBUsername=user
        )


def call_data_api(operation: str, cluster: str, source: str, **arguments: str) -> dict[str, Any]:
    """Call the RDS Data API once.

    A failed call is not repeated, because the client cannot know whether it was executed.

    Args:
        operation: the method of boto3's client, such as "execute_statement".
        cluster: the ARN of the cluster.
        source: the variable that names the cluster, for errors.
        arguments: of the call.

    Raises:
        ExtraMissing: boto3 is not installed.
        AwsDenied: the API rejects the call, or does not respond (`aws_code` is None).
    """
    action = f"rds-data:{operation.title().replace('_', '')}"
    with _asking(source, f"the Data API of {cluster}", action) as (session, _):
        call = getattr(_data_api(session, _region(cluster, session)), operation)
        response: dict[str, Any] = call(resourceArn=cluster, **arguments)
    return response


@contextmanager
def _asking(source: str, thing: str, action: str) -> Iterator[tuple[Session, Config]]:
    """Yield a session and the time limits of its calls; translate errors of AWS, and keep the block out of the logs."""
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
        raise AwsDenied(source, thing, reason, aws_code=code, next_step=step) from error
    except BotoCoreError as error:
        raise AwsDenied(source, thing, _one_line(str(error)), aws_code=None, next_step=_OTHER_STEP) from error


def _aws_variables() -> int:
    """Return a hash of the AWS variables, for comparison: their values include a secret key."""
    return hash(frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=1)
def _session(_process: int, _variables: int) -> Session:
    """Return the session of this process and its variables: it caches credentials, which a new session fetches again."""
    import boto3.session  # noqa: PLC0415  an extra, and slow to import

    return boto3.session.Session()


@lru_cache(maxsize=1)
def _limits() -> Config:
    """Return limits that end calls to an unreachable service within half a minute."""
    from botocore.config import Config  # noqa: PLC0415  as above

    return Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


@lru_cache(maxsize=4)
def _rds(session: Session, region: str | None, config: Config) -> RDSClient:
    """Return a cached client for tokens: each connection needs a token, and a client takes far longer to create."""
    return session.client("rds", region_name=region, config=config)


@lru_cache(maxsize=4)
def _data_api(session: Session, region: str | None) -> Any:  # its type stubs are not a dependency
    from botocore.config import Config  # noqa: PLC0415  as above

    # The API ends a statement after 45 seconds.
    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 1})
    return session.client("rds-data", region_name=region, config=config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Raise the log level of `_LIBRARIES` to INFO: at DEBUG they log requests and responses with secrets and tokens."""
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
        content = json.loads(text or "")
    except ValueError:
        content = None
    # Raise outside the block above: the error of the parser contains the whole text.
    if not isinstance(content, dict):
        raise bad_secret(source, name, "is not a JSON object")
    values = {key: str(value) for key, value in content.items() if value not in (None, "")}
    if missing := [key for key in ("username", "password") if key not in values]:
        raise bad_secret(source, name, f"contains no {' and no '.join(missing)}")
    if "postgres" not in values.get("engine", "postgres"):
        raise bad_secret(source, name, "describes a database that is not PostgreSQL")
    return Secret(
        values["username"],
        values["password"],
        values.get("host"),
        values.get("port"),
        values.get("dbname") or values.get("database"),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
