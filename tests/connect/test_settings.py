"""Whose address counts, and what of it can be seen."""

from __future__ import annotations

import pickle

import pytest

from dbschema.connect import ENVIRONMENT, FLAG, PRIVATE, resolve
from dbschema.connect.errors import NoAddress
from dbschema.errors import BadAddress

GIVEN = "postgresql://given.example/shop"
SET = {"DATABASE_URL": "postgresql://set.example/shop"}


def private() -> str:
    return "postgresql://ada:s3cr3t@127.0.0.1:21000/shop"


def never() -> str:
    raise AssertionError("the private server was asked for")


def test_a_given_address_beats_the_environment_and_the_private_server() -> None:
    settings = resolve(GIVEN, environ=SET, fallback=never)

    assert (settings.host, settings.source, settings.is_private) == ("given.example", FLAG, False)


def test_the_environment_beats_the_private_server() -> None:
    settings = resolve(environ=SET, fallback=never)

    assert (settings.host, settings.source, settings.is_private) == ("set.example", ENVIRONMENT, False)


@pytest.mark.parametrize("environ", [{}, {"DATABASE_URL": ""}, {"DATABASE_URL": "  "}])
def test_the_private_server_serves_when_nothing_is_set(environ: dict[str, str]) -> None:
    settings = resolve(environ=environ, fallback=private)

    assert (settings.place, settings.source, settings.is_private) == (
        "shop at 127.0.0.1:21000",
        PRIVATE,
        True,
    )


def test_variables_of_libpq_do_not_lead_away_from_the_private_server() -> None:
    settings = resolve(environ={"PGSERVICE": "other", "PGUSER": "other"}, fallback=private)

    assert (settings.place, settings.user) == ("shop at 127.0.0.1:21000", "ada")


def test_an_empty_given_address_never_means_another_database() -> None:
    """`--url "$TARGET"` with TARGET unset must not empty what DATABASE_URL names."""
    with pytest.raises(BadAddress):
        resolve("", environ=SET, fallback=never)


def test_an_unreadable_environment_is_named_as_the_place_of_the_mistake() -> None:
    with pytest.raises(BadAddress, match="The address from DATABASE_URL"):
        resolve(environ={"DATABASE_URL": "garbage"}, fallback=never)


def test_without_any_address_it_is_said_how_to_give_one() -> None:
    with pytest.raises(NoAddress, match=r"--url.*DATABASE_URL"):
        resolve(environ={})


def test_a_url_of_sqlalchemy_keeps_its_password() -> None:
    settings = resolve(private(), environ={})

    again = resolve(settings.url, environ={})

    assert again == settings
    assert again.url.password == "s3cr3t"


def test_nothing_that_is_shown_holds_the_password() -> None:
    settings = resolve(private(), environ={})

    shown = f"{settings!r} {settings} {settings.place} {settings.url} {settings.libpq_url(password=False)}"

    assert "s3cr3t" not in shown
    assert "s3cr3t" in settings.libpq_url()
    assert pickle.loads(pickle.dumps(settings)) == settings
