"""What an engine for the schema's own work does."""

from __future__ import annotations

import gc

import pytest
from sqlalchemy import NullPool, text

from dbschema.connect import connection as opening
from dbschema.connect import create_engine, resolve
from dbschema.connect.errors import ServerTooOld


def test_a_connection_says_who_it_is_and_notices_a_dead_server(fresh_database: str) -> None:
    settings = resolve(fresh_database)

    with create_engine(settings).connect() as connection:
        name = connection.scalar(text("SHOW application_name"))
        driver = connection.connection.driver_connection

    assert name == "dbschema"
    assert driver is not None
    assert driver.prepare_threshold is None


def test_the_address_decides_over_the_defaults(fresh_database: str) -> None:
    settings = resolve(f"{fresh_database}?application_name=job&connect_timeout=33")

    with create_engine(settings).connect() as connection:
        name = connection.scalar(text("SHOW application_name"))

    assert name == "job"


def test_no_connection_stays_open(fresh_database: str) -> None:
    made = create_engine(resolve(fresh_database))

    assert isinstance(made.pool, NullPool)


def test_a_server_older_than_the_oldest_is_refused_and_its_connection_closed(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "OLDEST_SERVER", 99)
    made = create_engine(resolve(fresh_database))

    with pytest.raises(ServerTooOld, match="needs 99 or newer") as caught:
        made.connect()

    assert caught.value.oldest == 99
    gc.collect()  # a connection left open would warn here, and warnings are errors


def test_the_private_server_is_reached_whatever_the_variables_of_libpq_say(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGSSLMODE": "require",
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c nonsense=1",
    }.items():
        monkeypatch.setenv(name, value)

    settings = resolve(fallback=lambda: fresh_database)

    with create_engine(settings).connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_the_password_is_not_in_the_repr_of_an_engine(fresh_database: str) -> None:
    settings = resolve(fresh_database)

    assert settings.url.password
    assert settings.url.password not in repr(create_engine(settings))
