"""Resolve the database: from the caller, the environment and AWS, or the private server, in this order.

All sources produce the same `Settings`, so that the command line, a Lambda function and an application use the same
database.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbschema.connect.address import Address, parse
from dbschema.connect.errors import NoAddress, data_api_unsupported, missing_part, no_address_in_lambda
from dbschema.connect.settings import ENVIRONMENT, FAILOVER, FAILOVER_HOSTS, FLAG, PRIVATE, Settings
from dbschema.connect.tls import secured
from dbschema.environment import Variable
from dbschema.errors import BadSetting, ConnectError
from dbschema.secrecy import Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import URL

    from dbschema.connect.aws import Secret
    from dbschema.connect.data_api import DataApi

SECRET: Final = Variable(
    "DB_SECRET_ARN",
    "The secret in Secrets Manager with user name and password, by its ARN or name; used if `DATABASE_URL` is not set.",
    example="arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop-AbCdEf",
)
RDS_SECRET: Final = Variable(
    "RDS_SECRET_ARN",
    "As `DB_SECRET_ARN`, for a database behind an RDS Proxy; used if `DB_SECRET_ARN` is not set.",
    example="shop/owner",
)
PARAMETERS: Final = Variable(
    "DB_SSM_PREFIX",
    "The path of the parameters in the parameter store that describe the database; used if `RDS_SECRET_ARN` is not set.",
    example="/shop/database",
)
DATA_API: Final = Variable(
    "AURORA_CLUSTER_ARN",
    "The Aurora cluster behind the RDS Data API; used last, and for upgrades and the status only.",
    example="arn:aws:rds:eu-west-1:111122223333:cluster:shop",
)
DATA_API_SECRET: Final = Variable(
    "AURORA_SECRET_ARN",
    "The secret for the RDS Data API.",
    example="arn:aws:secretsmanager:…:secret:shop-AbCdEf",
)
DATA_API_DATABASE: Final = Variable("DATABASE_NAME", "The database for the RDS Data API.", example="shop")
HOST: Final = Variable(
    "DB_HOST",
    "The host; overrides that of the secret of `DB_SECRET_ARN`.",
    example="db.example.com",
)
PORT: Final = Variable(
    "DB_PORT",
    "The port; overrides that of the secret.",
    default="that of the secret, or 5432",
    example="5433",
)
NAME: Final = Variable(
    "DB_NAME", "The database; overrides that of the secret.", default="that of the secret", example="shop"
)
PROXY: Final = Variable(
    "RDS_PROXY_ENDPOINT",
    "The host of the RDS Proxy, instead of the host in the secret of `RDS_SECRET_ARN`.",
    example="shop.proxy-abc.eu-west-1.rds.amazonaws.com",
)
PROXY_PORT: Final = Variable(
    "RDS_PORT", "The port of the RDS Proxy.", default="that of the secret, or 5432", example="5432"
)
PROXY_DATABASE: Final = Variable(
    "RDS_DATABASE", "The database behind the RDS Proxy.", default="that of the secret", example="shop"
)
VARIABLES: Final = (ENVIRONMENT, SECRET, RDS_SECRET, PARAMETERS, DATA_API)
"""The variables that name a database; the first that is set is used."""

IAM: Final = Variable(
    "DB_IAM_AUTH", "Log in with an IAM token instead of a password: 1 or 0.", default="0", example="1"
)
WAKE: Final = Variable(
    "DB_WAKE_SECONDS",
    "How long to wait for a server that is paused or starting, in seconds, 0 to 900.",
    default="60 for an address from AWS, otherwise 0",
    example="120",
)
AWS_WAKE_SECONDS: Final = 60.0
"""The default of DB_WAKE_SECONDS for an address from AWS: Aurora resumes within 15 to 30 s."""

_LAMBDA: Final = Variable(
    "AWS_LAMBDA_FUNCTION_NAME",
    "Set by AWS Lambda: a function has no private server; the error shows its name.",
)
_PROXY_HOST: Final = ".proxy-"
_FLAGS: Final = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def resolve(
    url: str | URL | None = None,
    *,
    fallback: Callable[[], str] | None = None,
    environ: Mapping[str, str] | None = None,
    source: str = FLAG,
) -> Settings:
    """Resolve the database from `url`, else from the first of `VARIABLES` that is set, else from `fallback`.

    Args:
        url: an address. An empty one is an error: a script whose variable is unset must not use another database.
        fallback: returns the address of the private server, and starts the server if necessary. It is a parameter
            because this package does not know the server. It is never called inside AWS Lambda.
        environ: contains the variables; None: the environment of the process. An empty variable counts as unset.
            boto3 always reads the environment of the process.
        source: the origin of `url`, for errors.

    Raises:
        BadAddress: the first address that is set cannot be parsed, or lacks a part.
        NoAddress: no address is set, and there is no fallback.
        ExtraMissing, AwsDenied: AWS does not return the secret or the parameters that the variable names.
        DataApiUnsupported: only the RDS Data API is configured.
        BadSetting: a variable has a value that cannot be used.
    """
    environ = Variables(environ)
    try:
        return _resolved(url, fallback, environ, source)
    except ConnectError as error:
        # The frames below contain the address as text: a traceback with variables would show its password.
        del url
        raise error.with_traceback(None)  # noqa: B904  the same error


def _resolved(
    url: str | URL | None, fallback: Callable[[], str] | None, environ: Mapping[str, str], source: str
) -> Settings:
    if url is not None:
        return _plain(url if isinstance(url, str) else written(url), source, environ)
    name = variable(environ)
    if name == ENVIRONMENT:
        return _plain(environ[ENVIRONMENT], ENVIRONMENT, environ)
    if name == SECRET:
        return _from_secret(SECRET, environ, host=HOST, port=PORT, dbname=NAME)
    if name == RDS_SECRET:
        names = {"host": PROXY, "port": PROXY_PORT, "dbname": PROXY_DATABASE}
        return _from_secret(RDS_SECRET, environ, proxy=_get(environ, names["host"]) is not None, **names)
    if name == PARAMETERS:
        return _from_parameters(environ)
    if name == DATA_API:
        raise data_api_unsupported(environ[DATA_API].strip())
    if function := _get(environ, _LAMBDA):
        raise no_address_in_lambda(function)
    if fallback is not None:
        return Settings(parse(fallback(), PRIVATE, {}), PRIVATE)
    raise NoAddress


def written(url: URL) -> str:
    """Convert a URL of SQLAlchemy to text that libpq parses: a space becomes %20, because libpq does not decode a plus."""
    address, mark, query = url.render_as_string(hide_password=False).replace(" ", "%20").partition("?")
    return f"{address}{mark}{query.replace('+', '%20')}"


def behind_data_api(environ: Mapping[str, str] | None = None) -> DataApi | None:
    """Return the database behind the RDS Data API; None if the environment names another database, or none.

    Raises:
        BadSetting: the secret or the name of the database is not set, or DB_WAKE_SECONDS cannot be used.
    """
    environ = Variables(environ)
    if variable(environ) != DATA_API:
        return None
    from dbschema.connect.data_api import DataApi  # noqa: PLC0415  few need it

    parts = {name: _get(environ, name) for name in (DATA_API_SECRET, DATA_API_DATABASE)}
    for name, value in parts.items():
        if value is None:
            raise BadSetting(DATA_API, f"is set, and {name} is not", f"Set {name} as well")
    return DataApi(
        environ[DATA_API].strip(),
        parts[DATA_API_SECRET] or "",
        parts[DATA_API_DATABASE] or "",
        DATA_API,
        _seconds(environ, WAKE, AWS_WAKE_SECONDS),
    )


def variable(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the variable that names the database if the caller passes no address; None: no variable is set."""
    environ = Variables(environ)
    return next((name for name in VARIABLES if _get(environ, name)), None)


def _get(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None


def _plain(text: str, source: str, environ: Mapping[str, str]) -> Settings:
    address = parse(text, source, environ)
    # A password in the address takes precedence over a token.
    iam = _flag(environ, IAM) and address.password is None
    return _settings(address, source, environ, iam=iam, wake=0.0)


def _from_secret(
    source: str, environ: Mapping[str, str], *, host: str, port: str, dbname: str, proxy: bool = False
) -> Settings:
    from dbschema.connect import aws  # noqa: PLC0415  few need it

    name = environ[source].strip()
    secret = aws.read_secret(name, source)
    variables = {"host": _get(environ, host), "port": _get(environ, port), "dbname": _get(environ, dbname)}
    parts = {
        "host": variables["host"] or secret.host,
        "port": variables["port"] or secret.port,
        "name of a database": variables["dbname"] or secret.dbname,
    }
    for part, setting in (("host", host), ("name of a database", dbname)):
        if not parts[part]:
            raise missing_part(source, part, holder=f"The secret {name}", variable=setting)
    number = _port(parts["port"], port if variables["port"] else source)
    address = _address(secret, parts["host"], number, parts["name of a database"])
    return _settings(address, source, environ, secret=name, iam=_flag(environ, IAM), proxy=proxy)


def _from_parameters(environ: Mapping[str, str]) -> Settings:
    from dbschema.connect import aws  # noqa: PLC0415  few need it

    prefix = environ[PARAMETERS].strip().rstrip("/")
    names = [f"{prefix}/{last}" for last in ("endpoint", "port", "name", "credentials-arn")]
    parameters = aws.read_parameters(names, PARAMETERS)
    host, port, dbname, secret_name = (parameters.get(name, "").strip() for name in names)
    for name, value in zip(names, (host, port or "5432", dbname, secret_name), strict=True):
        if not value:
            raise missing_part(
                PARAMETERS, f"parameter {name}", holder=f"The parameter store under {prefix}", variable=None
            )
    secret = aws.read_secret(secret_name, f"{PARAMETERS} ({names[-1]})")
    address = _address(secret, host, _port(port, names[1]), dbname)
    return _settings(address, PARAMETERS, environ, secret=secret_name, iam=_flag(environ, IAM))


def _address(secret: Secret, host: str | None, port: int | None, dbname: str | None) -> Address:
    return Address(secret.username, secret.password, host, port, dbname)


def _settings(
    address: Address,
    source: str,
    environ: Mapping[str, str],
    *,
    secret: str | None = None,
    iam: bool,
    proxy: bool = False,
    wake: float = AWS_WAKE_SECONDS,
) -> Settings:
    if iam:
        if address.host is None or address.user is None:
            raise BadSetting(
                IAM, f"is set, and the address from {source} lacks a user or does not name exactly one host"
            )
        address = replace(address, password=None)
    settings = Settings(
        secured(address, environ),
        source,
        secret=None if iam else secret,
        iam=iam,
        proxy=proxy or _PROXY_HOST in (address.host or ""),
        wake_seconds=_seconds(environ, WAKE, wake),
        failover_seconds=_seconds(environ, FAILOVER, 0.0),
        failover_hosts=_get(environ, FAILOVER_HOSTS),
    )
    if settings.failover_seconds:
        from dbschema.connect import failover  # noqa: PLC0415  few need it

        failover.check(settings)
    return settings


def _port(text: str | None, holder: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise BadSetting(holder, "contains a port that is not a number from 1 to 65535")
    return int(text)


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in _FLAGS:
        raise BadSetting(name, f"is {text!r}", "Set it to 1 or 0")
    return _FLAGS[text]


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = _get(environ, name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 900:  # False for NaN, too; a Lambda function runs for at most 900 s
        raise BadSetting(name, f"is {text!r}", "Set it to a number of seconds from 0 to 900")
    return seconds
