"""Which variables count, in which order, and what is said of those that do not do."""

from __future__ import annotations

import builtins
import json
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import URL

from dbschema.connect import VARIABLES, create_engine, errors, resolve, translating, variable
from dbschema.errors import BadAddress, BadSetting, ExtraMissing

if TYPE_CHECKING:
    from tests.connect.conftest import Aws, Role

PASSWORD = "s3cr3t-of-the-secret"
USER = {"username": "ada", "password": PASSWORD}
WHOLE = {**USER, "engine": "postgres", "host": "secret.example", "port": 6000, "dbname": "shop"}


def never() -> str:
    raise AssertionError("the private server was asked for")


def test_a_whole_secret_is_an_address_by_itself(aws: Aws) -> None:
    arn = aws.secret(**WHOLE)

    settings = resolve(environ={"DB_SECRET_ARN": arn}, fallback=never)

    assert (settings.place, settings.user, settings.source) == (
        "shop at secret.example:6000",
        "ada",
        "DB_SECRET_ARN",
    )
    assert settings.url.password == PASSWORD
    assert (settings.secret, settings.iam, settings.proxy, settings.wake_seconds) == (arn, False, False, 60)


def test_a_secret_as_rds_manages_it_needs_host_and_name(aws: Aws) -> None:
    """It holds user name and password only; the port is PostgreSQL's own."""
    environ = {"DB_SECRET_ARN": aws.secret(**USER), "DB_HOST": "db.example", "DB_NAME": "shop"}

    settings = resolve(environ=environ)

    assert (settings.place, settings.user) == ("shop at db.example:5432", "ada")


def test_variables_beat_what_the_secret_says(aws: Aws) -> None:
    arn = aws.secret(**WHOLE)

    settings = resolve(
        environ={"DB_SECRET_ARN": arn, "DB_HOST": "tunnel.example", "DB_PORT": "7000", "DB_NAME": "other"}
    )

    assert settings.place == "other at tunnel.example:7000"


@pytest.mark.parametrize(
    ("source", "left_out", "setting"),
    [
        ("DB_SECRET_ARN", "host", "DB_HOST"),
        ("DB_SECRET_ARN", "dbname", "DB_NAME"),
        ("RDS_SECRET_ARN", "host", "RDS_PROXY_ENDPOINT"),
        ("RDS_SECRET_ARN", "dbname", "RDS_DATABASE"),
    ],
)
def test_a_part_that_nobody_gives_is_named_with_its_variable(
    aws: Aws, source: str, left_out: str, setting: str
) -> None:
    arn = aws.secret(**{key: value for key, value in WHOLE.items() if key != left_out})

    with pytest.raises(BadAddress, match=f"Set {setting}, or add it there"):
        resolve(environ={source: arn})


def test_a_proxy_is_known_by_its_variable(aws: Aws) -> None:
    environ = {
        "RDS_SECRET_ARN": aws.secret(**WHOLE),
        "RDS_PROXY_ENDPOINT": "proxy.example",
        "RDS_PORT": "5433",
        "RDS_DATABASE": "other",
    }

    settings = resolve(environ=environ)

    assert (settings.place, settings.source, settings.proxy) == (
        "other at proxy.example:5433",
        "RDS_SECRET_ARN",
        True,
    )


def test_without_a_proxy_the_same_variables_lead_to_the_database(aws: Aws) -> None:
    settings = resolve(environ={"RDS_SECRET_ARN": aws.secret(**WHOLE)})

    assert (settings.place, settings.proxy) == ("shop at secret.example:6000", False)


def test_a_proxy_is_known_by_its_name() -> None:
    settings = resolve("postgresql://ada@app.proxy-c0ffee.eu-central-2.rds.amazonaws.com/shop", environ={})

    assert settings.proxy


def test_parameters_name_the_server_and_the_secret(aws: Aws) -> None:
    arn = aws.secret(**USER)
    for name, value in {
        "endpoint": "db.example",
        "port": "5433",
        "name": "shop",
        "credentials-arn": arn,
    }.items():
        aws.parameters.put_parameter(Name=f"/app/database/{name}", Value=value, Type="SecureString")

    settings = resolve(environ={"DB_SSM_PREFIX": "/app/database/"})

    assert (settings.place, settings.user, settings.secret) == ("shop at db.example:5433", "ada", arn)
    assert (settings.source, settings.wake_seconds) == ("DB_SSM_PREFIX", 60)


def test_a_parameter_that_is_not_there_is_named(aws: Aws) -> None:
    aws.parameters.put_parameter(Name="/half/endpoint", Value="db.example", Type="String")

    with pytest.raises(BadAddress, match="/half/name"):
        resolve(environ={"DB_SSM_PREFIX": "/half"})


def test_the_order_of_the_variables(aws: Aws) -> None:
    """Each beats all that stand behind it, and an empty one counts as unset."""
    everything = dict.fromkeys(VARIABLES, "something")

    found = []
    for name in VARIABLES:
        found.append(variable(everything))
        everything[name] = "  "

    assert found == ["DATABASE_URL", "DB_SECRET_ARN", "RDS_SECRET_ARN", "DB_SSM_PREFIX", "AURORA_CLUSTER_ARN"]
    assert variable(everything) is None


def test_a_given_address_beats_the_secret_and_asks_nobody() -> None:
    settings = resolve("postgresql://given.example/shop", environ={"DB_SECRET_ARN": "unknown"})

    assert (settings.host, settings.secret, settings.wake_seconds) == ("given.example", None, 0)


def test_the_data_api_is_no_address_to_connect_to() -> None:
    environ = {"AURORA_CLUSTER_ARN": "arn:aws:rds:eu-central-2:1:cluster:c", "AURORA_SECRET_ARN": "x"}

    with pytest.raises(errors.DataApiUnsupported, match=r"cluster:c.*only upgrade and status.*DB_SECRET_ARN"):
        resolve(environ=environ, fallback=never)


def test_inside_lambda_there_is_no_private_server() -> None:
    with pytest.raises(errors.NoAddress, match=r"'migrate'.*DB_SECRET_ARN"):
        resolve(environ={"AWS_LAMBDA_FUNCTION_NAME": "migrate"}, fallback=never)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_WAKE_SECONDS", "soon"),
        ("DB_WAKE_SECONDS", "-1"),
        ("DB_WAKE_SECONDS", "nan"),
        ("DB_WAKE_SECONDS", "901"),
        ("DB_IAM_AUTH", "perhaps"),
        ("DB_SSL_ROOT_CERT", "/no/such/file.pem"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(name: str, value: str) -> None:
    environ = {"DATABASE_URL": "postgresql://ada@db.example/shop", name: value}

    with pytest.raises(BadSetting, match=name) as caught:
        resolve(environ=environ)

    assert caught.value.name == name


def test_a_port_that_is_none_is_told_with_its_variable(aws: Aws) -> None:
    with pytest.raises(BadSetting, match="DB_PORT"):
        resolve(environ={"DB_SECRET_ARN": aws.secret(**WHOLE), "DB_PORT": "five"})


def test_waiting_can_be_asked_for_with_any_address() -> None:
    settings = resolve("postgresql://ada@db.example/shop", environ={"DB_WAKE_SECONDS": "12.5"})

    assert settings.wake_seconds == 12.5


def test_an_address_with_a_password_is_meant_with_it() -> None:
    environ = {"DB_IAM_AUTH": "1"}

    assert not resolve("postgresql://ada:pw@db.example/shop", environ=environ).iam
    assert resolve("postgresql://ada@db.example/shop", environ=environ).iam


def test_with_tokens_no_password_stays_in_the_address(aws: Aws) -> None:
    settings = resolve(environ={"DB_SECRET_ARN": aws.secret(**WHOLE), "DB_IAM_AUTH": "true"})

    assert (settings.iam, settings.user, settings.url.password, settings.secret) == (True, "ada", None, None)


def test_a_token_needs_to_know_for_whom_it_is() -> None:
    with pytest.raises(BadSetting, match="DB_IAM_AUTH"):
        resolve("postgresql://db.example/shop", environ={"DB_IAM_AUTH": "1"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("just-s3cr3t-words", "is not a JSON object"),
        ('["s3cr3t"]', "is not a JSON object"),
        (json.dumps({"password": PASSWORD}), "contains no username"),
        (json.dumps({"username": "ada"}), "contains no password"),
        (json.dumps({**WHOLE, "engine": "mysql"}), "is not PostgreSQL"),
    ],
)
def test_a_secret_that_is_none_of_a_database_is_refused_and_not_shown(aws: Aws, text: str, why: str) -> None:
    arn = aws.raw_secret(text)

    with pytest.raises(BadAddress, match=why) as caught:
        resolve(environ={"DB_SECRET_ARN": arn})

    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert arn in shown
    assert "s3cr3t" not in shown
    assert caught.value.__context__ is None


def test_a_secret_that_does_not_exist(aws: Aws) -> None:
    with pytest.raises(errors.AwsDenied, match="DB_SECRET_ARN") as caught:
        resolve(environ={"DB_SECRET_ARN": "no-such-secret"})

    assert caught.value.aws_code == "ResourceNotFoundException"
    assert "\n" not in str(caught.value)


def test_aws_cannot_be_reached(
    credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch, dead_port: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{dead_port()}")

    with pytest.raises(errors.AwsDenied, match="Could not connect") as caught:
        resolve(environ={"DB_SECRET_ARN": "secret"})

    assert caught.value.aws_code is None
    assert "\n" not in str(caught.value)


def test_without_credentials_it_is_said(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(errors.AwsDenied, match="credentials"):
        resolve(environ={"DB_SECRET_ARN": "secret"})


def test_the_region_is_that_of_the_arn(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = aws.secret(**WHOLE)
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert resolve(environ={"DB_SECRET_ARN": arn}).database == "shop"


def test_without_boto3_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "boto3":
            raise ModuleNotFoundError(name)
        return plain(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ExtraMissing, match=r"pip install 'dbschema\[aws\]'"):
        resolve(environ={"DB_SECRET_ARN": "secret"})


def test_an_application_connects_with_what_the_secret_says(aws: Aws, role: Role) -> None:
    settings = resolve(environ={"DB_SECRET_ARN": aws.secret(**role.secret())})

    with translating(settings), create_engine(settings).connect() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar_one() == role.name


def test_a_url_of_sqlalchemy_keeps_spaces_and_plus_signs() -> None:
    given = URL.create(
        "postgresql+psycopg",
        "ada",
        "p+ s?s",
        "db.example",
        5432,
        "shop",
        {"options": "-c role=app", "application_name": "a+b c"},
    )

    found = resolve(given, environ={}).url

    assert (found.query["options"], found.query["application_name"]) == ("-c role=app", "a+b c")
    assert found.password == "p+ s?s"
