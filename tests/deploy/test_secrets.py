"""Secrets stand in nothing that is printed: one search through all that the function, the command line and errors show.

Passwords hold every sign that some language has to escape, and are looked for in all its forms; tests/end_to_end looks through
each of its deployments in the same way, and tests/connect/test_leaks.py at what libraries log at the level DEBUG.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest

from cloudformation import SIGNED, cloudformation, waiting_cloudformation
from dbschema import connect
from dbschema.connect.address import parse
from dbschema.errors import DbSchemaError
from dbschema.migrations import runner
from leaks import AWKWARD, Printed, forms
from xray import xray_daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connect.conftest import Aws, Role
    from lambda_runtime import Function

WRONG = f"wr0ng-{AWKWARD}"
PARAMETERS = ("endpoint", "port", "name", "credentials-arn")


@dataclass
class Ways:
    """The ways to say which database is meant: variables, by a name for each; some addresses cannot even be read."""

    right: dict[str, dict[str, str]]
    wrong: dict[str, dict[str, str]]
    unreadable: dict[str, dict[str, str]]


def url(role: Role, password: str, *, port: int | str | None = None, more: str = "") -> str:
    return f"postgresql://{role.name}:{quote(password, safe='')}@{role.host}:{port or role.port}/{role.dbname}{more}"


@pytest.fixture
def awkward(owner: Role) -> Role:
    """A role whose password has every sign that is awkward somewhere."""
    owner.password = AWKWARD
    with psycopg.connect(owner.admin, autocommit=True) as connection:
        literal = psycopg.sql.Literal(AWKWARD)
        connection.execute(
            psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(owner.name), literal)
        )
    return owner


@pytest.fixture
def ways(awkward: Role, aws: Aws, dead_port: Callable[[], int]) -> Ways:
    """All of them, for one database."""
    place = {"DB_HOST": awkward.host, "DB_PORT": str(awkward.port), "DB_NAME": awkward.dbname}
    rds = {
        "RDS_PROXY_ENDPOINT": awkward.host,
        "RDS_PORT": str(awkward.port),
        "RDS_DATABASE": awkward.dbname,
    }
    right = aws.secret(username=awkward.name, password=AWKWARD)
    wrong = aws.secret(username=awkward.name, password=WRONG)

    def parameters(prefix: str, arn: str, names: tuple[str, ...] = PARAMETERS) -> dict[str, str]:
        values = dict(zip(PARAMETERS, (awkward.host, str(awkward.port), awkward.dbname, arn), strict=True))
        for name in names:
            aws.parameters.put_parameter(
                Name=f"/{awkward.name}/{prefix}/{name}",
                Value=values[name],
                Type="SecureString",
                Overwrite=True,
            )
        return {"DB_SSM_PREFIX": f"/{awkward.name}/{prefix}"}

    return Ways(
        right={
            "an address": {"DATABASE_URL": url(awkward, AWKWARD)},
            "a secret": {"DB_SECRET_ARN": right, **place},
            "parameters": parameters("right", right),
        },
        wrong={
            "an address with a wrong password": {"DATABASE_URL": url(awkward, WRONG)},
            "an address where nobody listens": {"DATABASE_URL": url(awkward, AWKWARD, port=dead_port())},
            "a password in the variable of libpq": {
                "DATABASE_URL": f"postgresql://{awkward.name}@{awkward.host}:{awkward.port}/{awkward.dbname}",
                "PGPASSWORD": WRONG,
            },
            "a wrong secret": {"DB_SECRET_ARN": wrong, **place},
            "a secret that is text": {"DB_SECRET_ARN": aws.raw_secret(AWKWARD), **place},
            "a secret without a user": {"DB_SECRET_ARN": aws.secret(password=AWKWARD), **place},
            "a secret with a wrong port": {
                "DB_SECRET_ARN": aws.secret(username="u", password=AWKWARD, port="x"),
                "DB_HOST": awkward.host,
                "DB_NAME": awkward.dbname,
            },
            "a secret without a host": {"DB_SECRET_ARN": right, "DB_NAME": awkward.dbname},
            "a wrong secret of RDS behind a proxy": {"RDS_SECRET_ARN": wrong, **rds},
            "parameters with a wrong secret": parameters("wrong", wrong),
            "parameters of which one is missing": parameters("half", right, PARAMETERS[1:]),
            "a profile that is none": {"DB_SECRET_ARN": right, "AWS_PROFILE": "nobody", **place},
            "a token instead of a password": {"DB_SECRET_ARN": right, "DB_IAM_AUTH": "1", **place},
        },
        unreadable={
            "an address with an impossible port": {"DATABASE_URL": url(awkward, AWKWARD, port="5432x")},
            "an address with an unescaped password": {
                "DATABASE_URL": f"postgresql://u:{AWKWARD}@{awkward.host}/{awkward.dbname}"
            },
            "an address of another kind": {
                "DATABASE_URL": url(awkward, AWKWARD).replace("postgresql", "mysql")
            },
            "an address with an unknown parameter": {
                "DATABASE_URL": url(awkward, AWKWARD, more="?sslmodus=on")
            },
            "an address with a secret parameter": {
                "DATABASE_URL": url(awkward, AWKWARD, more=f"?sslpassword={quote(WRONG, safe='')}")
            },
            "an address without a database": {"DATABASE_URL": url(awkward, AWKWARD).rpartition("/")[0]},
        },
    )


@pytest.fixture
def server_log(server: Any) -> Callable[[], str]:
    """What the server of the tests has logged since the test began."""
    log: Path = server.log
    offset = log.stat().st_size
    return lambda: log.read_bytes()[offset:].decode("utf-8", "replace")


@pytest.fixture
def secrets(credentials: dict[str, str]) -> tuple[str, ...]:
    """All that must not be seen: passwords, AWS's key, the signatures of tokens and of CloudFormation's address."""
    return AWKWARD, WRONG, credentials["AWS_SECRET_ACCESS_KEY"], SIGNED, "X-Amz-Signature", "X-Amz-Credential"


def test_the_search_finds_a_secret_in_each_of_its_forms() -> None:
    """Otherwise it would prove nothing."""
    printed = Printed()
    for form, text in forms(AWKWARD).items():
        printed.add(form, f"before {text} after")

    found = {line.partition(":")[0] for line in printed.leaks(AWKWARD)}

    assert found == set(forms(AWKWARD))
    assert Printed([("a log", "s3cr3t of others")]).leaks(AWKWARD) == []


def test_the_search_sees_the_variables_of_our_frames() -> None:
    printed = Printed()
    try:
        parse(f"postgresql://u:{quote(AWKWARD, safe='')}@h:x/d", "a test", {})
    except connect.errors.ConnectError as error:
        printed.add_error("parse", error)

    assert any("text in address.py" in line for line in printed.leaks(AWKWARD))


def test_an_error_shows_none_in_its_texts_its_fields_and_the_variables_of_our_frames(
    ways: Ways, secrets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, write_history: Callable[..., Path]
) -> None:
    """A program that reports errors with the variables of all frames reports those of ours, too."""
    scripts = write_history(one="op.execute('SELECT 1 / 0')")
    printed, classes = Printed(), set[str]()

    def attempt(where: str, what: Callable[..., object], *arguments: object) -> None:
        try:
            printed.add(where, what(*arguments))
        except Exception as error:
            classes.add(type(error).__name__)
            printed.add_error(where, error)

    def use(name: str) -> None:
        try:
            settings = connect.resolve()
        except DbSchemaError as error:
            classes.add(type(error).__name__)
            printed.add_error(f"{name}: resolve", error)
            return
        for shown in (settings, settings.address, settings.url, connect.create_engine(settings)):
            printed.add(f"{name}: {type(shown).__name__}", f"{shown!r} {shown} {settings.place}")
        attempt(f"{name}: status", runner.status, settings)
        attempt(f"{name}: upgrade", lambda: runner.upgrade(settings, location=scripts))
        attempt(f"{name}: open", lambda: connect.open(settings).close())
        attempt(f"{name}: engine", lambda: connect.create_engine(settings).connect().close())

    for name, variables in {**ways.right, **ways.wrong, **ways.unreadable}.items():
        with monkeypatch.context() as environment:
            for variable, value in {"DB_WAKE_SECONDS": "0", **variables}.items():
                environment.setenv(variable, value)
            use(name)

    assert {
        "WrongPassword",
        "Unreachable",
        "BadAddress",
        "RevisionFailed",
    } <= classes
    assert printed.leaks(*secrets) == []


def test_the_command_line_prints_none(
    ways: Ways,
    secrets: tuple[str, ...],
    credentials: dict[str, str],
    server_log: Callable[[], str],
    tmp_path: Path,
) -> None:
    """Commands that succeed and that fail, with a traceback, with the address as an argument and in the environment."""
    printed, codes = Printed(), dict[str, int]()
    base = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        **credentials,
        "HOME": str(tmp_path),
        "DB_WAKE_SECONDS": "0",
    }

    def run(where: str, variables: dict[str, str], *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "dbschema", *arguments],
            env=base | variables,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        codes[where] = done.returncode
        printed.add(f"{where}: output", done.stdout)
        printed.add(f"{where}: errors", done.stderr)

    for name, variables in ways.right.items():
        run(name, variables, "--debug", "status", "--json")
    for name, variables in ways.wrong.items():
        run(name, variables, "--debug", "upgrade")
    for name in ("an address with an unescaped password", "an address with an impossible port"):
        address = ways.unreadable[name]["DATABASE_URL"]
        run(name, {"DATABASE_URL": address}, "--debug", "upgrade")
        run(f"{name}, as an argument", {}, "--debug", "status", "--url", address)
    printed.add("the log of the server", server_log())

    assert {codes[name] for name in ways.right} == {1}
    assert {code for name, code in codes.items() if name not in ways.right} == {2}
    assert printed.leaks(*secrets) == []


def test_the_function_prints_answers_and_traces_none(
    *,
    ways: Ways,
    secrets: tuple[str, ...],
    credentials: dict[str, str],
    start_function: Callable[..., Function],
    server_log: Callable[[], str],
    write_history: Callable[..., Path],
) -> None:
    """Log, metrics, answers, what is put to CloudFormation, traces, and what the server logs meanwhile."""
    scripts = write_history(one="op.execute('CREATE TABLE one ()')", two="op.execute('SELECT 1 / 0')")
    printed, failed = Printed(), list[bool]()
    with xray_daemon() as xray, waiting_cloudformation() as waiting:
        always = {
            **{name: value for name, value in credentials.items() if not name.endswith("_FILE")},
            **xray.variables,
            "DBSCHEMA_SCRIPT_LOCATION": str(scripts),
            "DBSCHEMA_CLOUDFORMATION_MODE": "direct",
            "DBSCHEMA_ALLOW_LOCAL_RESPONSE_URL": "1",
            "DB_WAKE_SECONDS": "0",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
            "POWERTOOLS_LOGGER_LOG_EVENT": "true",
            "POWERTOOLS_TRACER_CAPTURE_ERROR": "true",
        }
        for name, variables in {**ways.right, **ways.wrong}.items():
            function = start_function(**always, **variables)
            for event in (cloudformation("Create", url=waiting.url), {"action": "status"}):
                answer = function.invoke(event)
                failed.append(answer.failed)
                printed.add(f"{name}: answer", json.dumps(answer.payload, ensure_ascii=False))
            printed.add(f"{name}: log", function.everything)
            function.stop()
        for _, body in waiting.puts:
            printed.add("an answer to CloudFormation", body.decode())
        segments = xray.received()
        for packet in xray.everything:
            printed.add("a trace", packet)
    printed.add("the log of the server", server_log())

    assert len(waiting.puts) == len(ways.right) + len(ways.wrong)
    assert len(segments) == len(failed)
    assert failed.count(True) == len(ways.wrong) > 0
    assert printed.leaks(*secrets) == []
