"""What failover asks of an address, and how its connections are opened; failovers themselves are in tests/migrations/failover."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dbschema import connect
from dbschema.connect import aws, failover, resolve
from dbschema.connect.connection import Waiting, _Opener
from dbschema.errors import BadSetting, ExtraMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

RDS = "postgresql://ada@app.cluster-c0ffee.eu-central-2.rds.amazonaws.com/shop"
ON = {"DB_FAILOVER_SECONDS": "30"}
HOSTS = {**ON, "DB_FAILOVER_HOSTS": "?.db.example"}


@pytest.fixture
def watched() -> Iterator[None]:
    """Ends what the wrapper watches."""
    from aws_advanced_python_wrapper import release_resources  # noqa: PLC0415  a second, for few tests

    yield
    release_resources()


def test_without_its_setting_there_is_none() -> None:
    settings = resolve(RDS, environ={"DB_FAILOVER_HOSTS": "?.db.example"})

    assert settings.failover_seconds == 0


def test_an_address_of_rds_needs_no_more_than_the_time() -> None:
    settings = resolve(RDS, environ=ON)

    assert (settings.failover_seconds, settings.failover_hosts) == (30, None)


def test_an_address_of_another_name_needs_the_hosts_of_the_instances() -> None:
    with pytest.raises(BadSetting, match=r"writer\.db\.example.*DB_FAILOVER_HOSTS"):
        resolve("postgresql://ada@writer.db.example/shop", environ=ON)

    settings = resolve("postgresql://ada@writer.db.example/shop", environ=HOSTS)

    assert settings.failover_hosts == "?.db.example"


@pytest.mark.parametrize("hosts", ["db.example", "??.example", "?/x", "a ?", "?.db.example:5432"])
def test_hosts_without_exactly_one_place_for_the_name_are_refused(hosts: str) -> None:
    with pytest.raises(BadSetting, match="DB_FAILOVER_HOSTS"):
        resolve("postgresql://ada@writer.db.example/shop", environ={**ON, "DB_FAILOVER_HOSTS": hosts})


@pytest.mark.parametrize("seconds", ["-1", "901", "soon", "nan"])
def test_a_time_that_cannot_be_meant_is_refused(seconds: str) -> None:
    with pytest.raises(BadSetting, match="DB_FAILOVER_SECONDS"):
        resolve(RDS, environ={"DB_FAILOVER_SECONDS": seconds})


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada@one.example,two.example/shop",
        "postgresql://ada@/shop?host=/run/postgresql",
        "postgresql://ada@app.example/shop?hostaddr=10.0.0.1",
    ],
)
def test_an_address_without_one_host_by_its_name_is_refused(address: str) -> None:
    with pytest.raises(BadSetting, match="writer endpoint"):
        resolve(address, environ=HOSTS)


def test_behind_a_proxy_it_is_refused() -> None:
    proxy = "postgresql://ada@app.proxy-c0ffee.eu-central-2.rds.amazonaws.com/shop"

    with pytest.raises(BadSetting, match="RDS Proxy"):
        resolve(proxy, environ=ON)


def test_the_private_server_has_none() -> None:
    settings = resolve(environ=ON, fallback=lambda: "postgresql://ada:s@127.0.0.1:21000/shop")

    assert settings.failover_seconds == 0


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_advanced_python_wrapper", None)

    with pytest.raises(ExtraMissing, match=r"pip install 'dbschema\[failover\]'"):
        connect.open(resolve(RDS, environ=ON))


def test_nothing_of_the_wrapper_is_imported_before_a_connection_is_opened() -> None:
    """It costs a second."""
    program = (
        "import sys\nfrom dbschema import connect\n"
        f"settings = connect.resolve({RDS!r}, environ={ON!r})\nconnect.opener(settings)\n"
        "assert 'aws_advanced_python_wrapper' not in sys.modules"
    )
    import subprocess  # noqa: PLC0415  for this test alone

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_each_instance_gets_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is for one host: that of the cluster does not open an instance."""
    settings = resolve(RDS, environ={**ON, "DB_IAM_AUTH": "1"})
    made: list[str] = []
    given: list[tuple[str, str]] = []

    def token(host: str, *_: Any) -> str:
        made.append(host)
        return f"token for {host}"

    def through_the_wrapper(_: Any, make: Any, parameters: dict[str, Any]) -> str:
        for host in (parameters["host"], "one.c0ffee.eu-central-2.rds.amazonaws.com"):
            make({**parameters, "host": host})
        return "connection"

    monkeypatch.setattr(aws, "auth_token", token)
    monkeypatch.setattr(failover, "connect", through_the_wrapper)
    opened = _Opener(settings, Waiting()).connect(
        lambda parameters: given.append((parameters["host"], parameters["password"])),
        settings.address.libpq(),
    )

    assert opened == "connection"
    assert made == [settings.host, "one.c0ffee.eu-central-2.rds.amazonaws.com"]
    assert given == [(host, f"token for {host}") for host in made]


def test_no_password_is_logged_by_the_wrapper_either(
    fresh_database: str, watched: None, caplog: pytest.LogCaptureFixture
) -> None:
    """This server has none of Aurora's functions, so the wrapper logs all that it can."""
    settings = resolve(
        fresh_database.replace("localhost", "127.0.0.1"), environ={**ON, "DB_FAILOVER_HOSTS": "?"}
    )
    password = settings.address.password

    with caplog.at_level(logging.DEBUG):
        connection = connect.open(settings)
        connection.close()

    assert any(record.name.startswith("aws_advanced_python_wrapper") for record in caplog.records)
    assert password
    assert password not in caplog.text
