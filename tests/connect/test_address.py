"""Which addresses are read, how, and that no complaint repeats one."""

from __future__ import annotations

import traceback

import pytest
from psycopg.conninfo import conninfo_to_dict

from dbschema.connect import resolve
from dbschema.connect.address import parse
from dbschema.errors import BadAddress

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "place", "user"),
    [
        ("postgresql://ada@db.example:5433/shop", "shop at db.example:5433", "ada"),
        ("postgres://ada@db.example/shop", "shop at db.example:5432", "ada"),
        ("postgresql+psycopg://db.example/shop", "shop at db.example:5432", None),
        ("postgresql+asyncpg://db.example/shop", "shop at db.example:5432", None),
        ("POSTGRESQL://db.example/shop", "shop at db.example:5432", None),
        ("  postgresql://db.example/shop\n", "shop at db.example:5432", None),
        ("postgresql:///shop", "shop at the local socket", None),
        ("postgresql:///shop?host=/run/postgresql", "shop at /run/postgresql", None),
        ("postgresql://%2Frun%2Fpostgresql/shop", "shop at /run/postgresql", None),
        ("postgresql:///shop?host=/run/a%20b&port=5433", "shop at /run/a b (port 5433)", None),
        ("postgresql://[::1]:5433/shop", "shop at [::1]:5433", None),
        ("postgresql://one:1,two:2/shop", "shop at one:1,two:2", None),
        ("postgresql://one,two:2/shop", "shop at one:5432,two:2", None),
        ("postgresql:///shop?host=one,two&port=7", "shop at one:7,two:7", None),
        ("postgresql:///?host=db.example&dbname=shop&user=ada", "shop at db.example:5432", "ada"),
        ("postgresql:///?service=shop", "service shop at the server of the service file", None),
        ("postgresql://db.example/a%20shop", "a shop at db.example:5432", None),
    ],
)
def test_an_address_is_read_as_psql_reads_it(text: str, place: str, user: str | None) -> None:
    settings = resolve(text, environ={})

    assert (settings.place, settings.user) == (place, user)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada:p%40ss%2Fw%3Ard%25@db.example:5433/shop",
        "postgresql://ada:p%23%20%3F@[::1]:5433/a%2Fshop?sslmode=verify-full&sslrootcert=/etc/a%20b.pem",
        "postgresql:///shop?host=/run/a%20b&port=5433&user=ada&password=pass",
        "postgresql://one:1,two:2/shop?target_session_attrs=read-write&options=-c%20a.b%3Dc",
    ],
)
def test_what_libpq_gets_back_is_what_it_read(text: str) -> None:
    """With PGSSLMODE, because our own rules for TLS would be added."""
    settings = resolve(text, environ={"PGSSLMODE": "prefer"})

    assert conninfo_to_dict(settings.libpq_url()) == conninfo_to_dict(text)


def test_parameters_of_libpq_reach_the_engine() -> None:
    url = parse("postgresql://db.example/shop?sslmode=require&application_name=job", "--url", {})

    assert dict(url.query) == {"sslmode": "require", "application_name": "job"}


def test_what_the_address_leaves_open_comes_from_the_variables_of_libpq() -> None:
    environ = {"PGHOST": "db.example", "PGPORT": "5433", "PGUSER": "ada", "PGDATABASE": "shop"}

    settings = resolve("postgresql://", environ=environ)

    assert (settings.place, settings.user) == ("shop at db.example:5433", "ada")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("garbage", "is not the address"),
        ("host=db.example dbname=shop password=s3cr3t", "is not the address"),
        ("postgresql:/ada:s3cr3t@db.example/shop", "is not the address"),
        ("mysql://ada:s3cr3t@db.example/shop", "has the scheme 'mysql'"),
        ("sqlite:///shop.db", "has the scheme 'sqlite'"),
        ("postgresql+oracle://ada:s3cr3t@db.example/shop", "names the driver 'oracle'"),
        ("postgresql://ada:s3cr3t@db.example", "names no database"),
        ("postgresql://ada:s3cr3t@db.example/", "names no database"),
        ("postgresql://ada:s3cr3t@db.example:port/shop", "has a port that is not a number"),
        ("postgresql://ada:s3cr3t@db.example:70000/shop", "has a port that is not a number"),
        ("postgresql://ada:s3cr3t@db.example/shop?colour=red", "has the parameter 'colour'"),
        ("postgresql://ada:s3cr3t@db.example/shop?sslmode", "cannot be read"),
        ("postgresql://ada:s3cr3t@[::1/shop", "cannot be read"),
        ("postgresql://ada:s3cr3t%zz@db.example/shop", "a '%' is not followed"),
        ("postgresql://ada:p@s3cr3t@db.example/shop", "more than one '@'"),
        ("postgresql://ada:p@x/s3cr3t@db.example/shop", "more than one '@'"),
        ("postgresql://ada:p/s3cr3t@db.example/shop", "more than one '@'"),
        ("postgresql://ada:s3cr3t@db.example/shop?sslpassword=s3cr3t", "contains the secret 'sslpassword'"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(text: str, words: str) -> None:
    with pytest.raises(BadAddress) as caught:
        resolve(text, environ={})

    error = caught.value
    assert words in error.what
    assert "\n" not in str(error)
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert SECRET not in shown.partition("resolve(text")[0] + shown.rpartition("BadAddress")[2]
    assert not error.__context__ or SECRET not in str(error.__context__)
