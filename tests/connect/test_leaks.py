"""Nothing that is printed or logged, shown or raised, holds a secret."""

from __future__ import annotations

import io
import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from dbschema.connect import create_engine, errors, password, resolve, translating
from dbschema.errors import DbSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        pytest.raises(errors.Unreachable) as caught,
        translating(settings),
        create_engine(settings).connect(),
    ):
        pass

    printed = capfd.readouterr()
    everything = logged.getvalue() + printed.out + printed.err + seen(caught.value) + shown(settings)
    assert "X-Amz-Signature" in token
    assert "X-Amz-Signature" not in everything
    assert credentials["AWS_SECRET_ACCESS_KEY"] not in everything
