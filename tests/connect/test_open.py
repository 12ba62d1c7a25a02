"""Connections of psycopg by the rules of the engine, without SQLAlchemy."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dbschema import connect
from dbschema.connect import connection as opening
from dbschema.connect import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.connect.conftest import Aws, Role


def test_a_connection_has_the_parameters_of_the_engines(fresh_database: str) -> None:
    settings = connect.resolve(fresh_database)
    query = (
        "SELECT current_setting('application_name'), current_setting('client_encoding'), current_database()"
    )

    with closing(connect.open(settings, autocommit=True)) as connection:
        ours = connection.execute(query).fetchone()
        assert (connection.autocommit, connection.prepare_threshold) == (True, None)
    with connect.create_engine(settings).connect() as other:
        theirs = tuple(other.exec_driver_sql(query).one())

    assert ours == theirs
    assert ours[0] == "dbschema"


def test_parameters_of_the_caller_count_over_all_others(fresh_database: str) -> None:
    settings = connect.resolve(f"{fresh_database}?application_name=job")

    with closing(connect.open(settings, application_name="mine")) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("mine",)


def test_a_rotated_password_is_read_again_and_kept(
    aws: Aws, role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    arn = aws.secret(**role.secret())
    another = connect.opener(connect.resolve(environ={"DB_SECRET_ARN": arn}))
    role.change("second-s3cr3t-of-the-role")
    aws.rotate(arn, **role.secret())

    with caplog.at_level("INFO", "dbschema.connect"):
        for _ in range(2):
            with closing(another()) as connection:
                assert connection.info.user == role.name

    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "The secret that DB_SECRET_ARN names was rotated"
    ]


def test_a_server_that_sleeps_is_waited_for(
    dead_port: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    settings = connect.resolve(
        f"postgresql://ada@127.0.0.1:{dead_port()}/shop", environ={"DB_WAKE_SECONDS": "1"}
    )

    with pytest.raises(errors.Unreachable), connect.translating(settings):
        connect.open(settings)

    # Addresses from AWS alone wait by default; the variable is for all.
    assert any("does not answer yet" in record.getMessage() for record in caplog.records)


def test_a_server_that_is_too_old_is_refused_and_its_connection_closed(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "OLDEST_SERVER", 99)

    with pytest.raises(errors.ServerTooOld, match="needs 99 or newer"):
        connect.open(connect.resolve(fresh_database))

    gc.collect()  # a connection left open would warn here, and warnings are errors


def test_an_address_is_resolved_and_opened_without_sqlalchemy_and_boto3(fresh_database: str) -> None:
    program = """
import sys
from dbschema import connect
settings = connect.resolve(sys.argv[1])
with connect.translating(settings), connect.open(settings) as connection:
    connection.execute("SELECT 1")
connection.close()
raise SystemExit(", ".join(sorted({"sqlalchemy", "boto3", "botocore", "alembic"} & set(sys.modules))) or 0)
"""

    done = subprocess.run(
        [sys.executable, "-c", program, fresh_database], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_an_address_hides_its_password_and_has_an_url_for_sqlalchemy() -> None:
    settings = connect.resolve("postgresql://ada:s3cr3t@db.example:5433/shop?sslmode=disable", environ={})

    assert "s3cr3t" not in f"{settings!r} {settings.address!r}"
    assert settings.url.render_as_string(hide_password=False) == (
        "postgresql+psycopg://ada:s3cr3t@db.example:5433/shop?sslmode=disable"
    )
    assert settings.for_database("other").url.database == "other"
    assert hash(settings) == hash(connect.resolve(settings.url, environ={}))
