"""Stand-ins for AWS: moto's server over HTTP, and credentials that are valid nowhere."""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import psycopg
import pytest
from sqlalchemy import make_url

from dbschema.tools.server.address import choose_port

sys.path[:0] = [str(Path(__file__).parents[1])]

from waking import asleep, port_of  # noqa: E402  found by the line above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "eu-central-2"


@pytest.fixture(scope="session", autouse=True)
def one_reader_of_botocores_files() -> Iterator[None]:
    """Every session of boto3 reads megabytes of descriptions of services; the tests make hundreds of sessions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running stand-in for Secrets Manager and the parameter store."""
    log = tmp_path_factory.mktemp("moto") / "log"
    port = choose_port(log)  # none that the system gives to a connection before moto takes it
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Credentials that are valid nowhere, also as variables for other programs; the developer's own are out of reach."""
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "key-of-the-tests-that-is-secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no credentials"),
    }
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


class Aws:
    """What the tests do to the stand-in."""

    def __init__(self, url: str) -> None:
        session = boto3.session.Session()
        self.url = url
        self.secrets = session.client("secretsmanager", endpoint_url=url)
        self.parameters = session.client("ssm", endpoint_url=url)

    def secret(self, **values: Any) -> str:
        """A new secret; its ARN."""
        return self.raw_secret(json.dumps(values))

    def raw_secret(self, text: str) -> str:
        return str(self.secrets.create_secret(Name=f"test-{uuid.uuid4()}", SecretString=text)["ARN"])

    def rotate(self, arn: str, **values: Any) -> None:
        """The present version becomes AWSPREVIOUS."""
        self.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(values))


@pytest.fixture
def aws(moto_url: str, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The stand-in, and the environment in which boto3 finds it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    credentials["AWS_ENDPOINT_URL"] = moto_url
    return Aws(moto_url)


class Role:
    """A role that logs in with a password, in a database of the test's own."""

    def __init__(self, admin: str, name: str) -> None:
        url = make_url(admin)
        self.admin = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.name, self.password = name, "first-s3cr3t-of-the-role"
        self.host, self.port, self.dbname = str(url.host), int(url.port or 0), str(url.database)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(statement)

    def change(self, password: str) -> None:
        self.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'")
        self.password = password

    def secret(self) -> dict[str, Any]:
        """All that a whole secret holds."""
        return {
            "engine": "postgres",
            "username": self.name,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
        }


@pytest.fixture
def role(fresh_database: str) -> Iterator[Role]:
    role = Role(fresh_database, f"{make_url(fresh_database).database}_login")
    role.execute(f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}'")
    yield role
    role.execute(f"DROP ROLE {role.name}")


@pytest.fixture
def sleeping() -> Iterator[Callable[[], socket.socket]]:
    """Gives sockets whose ports refuse connections until they listen; nobody else is given these ports."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(asleep())


@pytest.fixture
def dead_port(sleeping: Callable[[], socket.socket]) -> Callable[[], int]:
    """Gives ports at which nothing listens."""
    return lambda: port_of(sleeping())
