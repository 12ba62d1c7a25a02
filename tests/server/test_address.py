"""Addresses are URLs for clients, and no place where a password shows by accident."""

from __future__ import annotations

from pathlib import Path

from dbschema.tools.server import Address, Status

ADDRESS = Address("127.0.0.1", 20000, "dbschema", "s3cret", "dbschema", Path("/run/socket"))


def test_a_url_is_what_libpq_reads() -> None:
    assert ADDRESS.url() == "postgresql://dbschema:s3cret@127.0.0.1:20000/dbschema"


def test_a_url_names_another_database_and_a_driver() -> None:
    url = ADDRESS.url("other", driver="psycopg")

    assert url == "postgresql+psycopg://dbschema:s3cret@127.0.0.1:20000/other"


def test_characters_with_a_meaning_in_a_url_are_escaped() -> None:
    address = Address("127.0.0.1", 1, "a:b", "p@ss/word?#%", "x y/z", Path("/s"))

    assert address.url() == "postgresql://a%3Ab:p%40ss%2Fword%3F%23%25@127.0.0.1:1/x%20y%2Fz"


def test_neither_an_address_nor_a_status_shows_the_password() -> None:
    status = Status(True, 1, 20000, Path("/home"), "15.1", Path("/bin"), ADDRESS)

    assert "s3cret" not in repr(ADDRESS) + str(ADDRESS) + repr(status) + f"{status}"
