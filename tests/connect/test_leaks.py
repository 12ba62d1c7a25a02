"""Nothing that is printed or logged, shown or raised, holds a secret."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from dbschema.connect import create_engine, errors, password, resolve, translating
from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.connect.conftest import Aws, Role

    from dbschema.connect import Settings

LOST = "rotated-s3cr3t-that-no-server-has"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged by anybody, at the level DEBUG, as an application's own configuration may ask for."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root, before = logging.getLogger(), logging.getLogger().level
    # One that an earlier configuration has set by its name, too: it is where botocore writes answers.
    parsers, before_parsers = (
        logging.getLogger("botocore.parsers"),
        logging.getLogger("botocore.parsers").level,
    )
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    parsers.setLevel(logging.DEBUG)
    yield text
    parsers.setLevel(before_parsers)
    root.setLevel(before)
    root.removeHandler(handler)


def forget(logged: io.StringIO, before: str = "") -> None:
    """Go back to what was logged before a client of the tests' own, which is not the library's."""
    logged.seek(0)
    logged.truncate()
    logged.write(before)


def shown(settings: Settings) -> str:
    engine = create_engine(settings)
    return f"{settings!r} {settings} {settings.place} {settings.url!r} {settings.url} {engine!r} {engine.url}"


def seen(error: BaseException) -> str:
    """What a traceback shows of an error and of all that led to it, and the fields of ours.

    An error of psycopg carries the connection that failed, and that one all its parameters; it shows none of them.
    """
    text = "".join(traceback.format_exception(error))
    chain: BaseException | None = error
    while chain is not None:
        text += repr(chain) + (repr(vars(chain)) if isinstance(chain, DbSchemaError) else "")
        chain = chain.__cause__ or chain.__context__
    return text


def test_a_rotation_leaves_no_password_behind(
    aws: Aws, role: Role, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    arn = aws.secret(**role.secret())
    forget(logged)
    settings = resolve(environ={"DB_SECRET_ARN": arn})
    passwords = [role.password, LOST]
    with create_engine(settings).connect():
        pass
    role.change("second-s3cr3t-of-the-role")
    passwords.append(role.password)
    before = logged.getvalue()
    aws.rotate(arn, **role.secret())
    forget(logged, before)
    with create_engine(settings).connect():
        pass
    role.change("third-s3cr3t-of-the-role")
    passwords.append(role.password)

    with (
        pytest.raises(errors.WrongPassword) as caught,
        translating(settings),
        create_engine(settings).connect(),
    ):
        pass

    printed = capfd.readouterr()
    everything = logged.getvalue() + printed.out + printed.err + seen(caught.value) + shown(settings)
    assert "was rotated" in everything
    assert [one for one in passwords if one in everything] == []
    assert "SecretString" not in everything
    assert "X-Amz-Security-Token" not in everything


def test_loggers_are_as_they_were(aws: Aws, role: Role, logged: io.StringIO) -> None:
    arn = aws.secret(**role.secret())
    names = ("botocore", "botocore.parsers", "boto3", "urllib3")
    before = {name: logging.getLogger(name).level for name in names}

    resolve(environ={"DB_SECRET_ARN": arn})

    assert {name: logging.getLogger(name).level for name in names} == before
    assert before["botocore.parsers"] == logging.DEBUG


def test_a_token_leaves_no_signature_behind(
    credentials: dict[str, str], logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = resolve("postgresql://ada@127.0.0.1:1/shop", environ={"DB_IAM_AUTH": "1"})
    token = str(password(settings))

    with (
        pytest.raises(errors.NothingListens) as caught,
        translating(settings),
        create_engine(settings).connect(),
    ):
        pass

    printed = capfd.readouterr()
    everything = logged.getvalue() + printed.out + printed.err + seen(caught.value) + shown(settings)
    assert "X-Amz-Signature" in token
    assert "X-Amz-Signature" not in everything
    assert credentials["AWS_SECRET_ACCESS_KEY"] not in everything


def program(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DB", "AWS"))}
    return subprocess.run(
        [sys.executable, "-m", "dbschema", *arguments],
        cwd=folder,
        env={**kept, "DBSCHEMA_HOME": str(folder / "no home"), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bastion(aws: Aws, role: Role, credentials: dict[str, str]) -> dict[str, str]:
    """The environment of a machine that knows of the database by its secret only."""
    return {**credentials, "DB_SECRET_ARN": aws.secret(**role.secret())}


def test_the_command_line_takes_its_address_from_the_secret(
    bastion: dict[str, str], role: Role, tmp_path: Path
) -> None:
    done = program(tmp_path, bastion, "status", "--json")

    assert done.returncode == 1, done.stderr  # nothing was ever applied
    found = json.loads(done.stdout)
    assert found["source"] == "DB_SECRET_ARN"
    assert found["database"] == f"{role.dbname} at {role.host}:{role.port}"
    assert role.password not in done.stdout + done.stderr


def test_psql_gets_the_password_of_the_secret(bastion: dict[str, str], role: Role, tmp_path: Path) -> None:
    done = program(tmp_path, bastion, "psql", "-XAtc", "SELECT current_user")

    assert (done.stdout.strip(), done.returncode) == (role.name, 0)


def test_a_database_that_only_the_environment_names_is_not_emptied(
    bastion: dict[str, str], tmp_path: Path
) -> None:
    done = program(tmp_path, bastion, "reset", "--yes")

    assert done.returncode == 2
    assert "is named by DB_SECRET_ARN only" in done.stderr


def test_a_wrong_secret_is_one_line_also_with_its_traceback(
    bastion: dict[str, str], role: Role, aws: Aws, tmp_path: Path
) -> None:
    aws.rotate(bastion["DB_SECRET_ARN"], **{**role.secret(), "password": LOST})
    known = role.password
    role.change("nobody-told-s3cr3t")

    plain = program(tmp_path, bastion, "status")
    debug = program(tmp_path, bastion, "--debug", "status")

    assert plain.returncode == debug.returncode == 2
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr
    everything = plain.stdout + plain.stderr + debug.stdout + debug.stderr
    assert [one for one in (known, LOST, role.password) if one in everything] == []


def test_the_data_api_is_refused_by_the_command_line(tmp_path: Path) -> None:
    done = program(tmp_path, {"AURORA_CLUSTER_ARN": "arn:aws:rds:eu-central-2:1:cluster:c"}, "status")

    assert done.returncode == 2
    assert "Data API is not supported" in done.stderr
