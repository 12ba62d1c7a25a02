"""The port is the server's own, foreseeable, and outside the range of outgoing connections."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from dbschema.tools.server import address
from dbschema.tools.server.address import FIRST_PORT, LAST_PORT, choose_port, is_free

if TYPE_CHECKING:
    import pytest


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert not is_free(port)

    assert is_free(port)


def test_a_port_that_is_taken_for_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_the_same_home_gets_the_same_port_and_others_another() -> None:
    homes = [Path(f"/projects/{number}/.dbschema") for number in range(20)]

    chosen = [choose_port(home) for home in homes]

    assert chosen == [choose_port(home) for home in homes]
    assert len(set(chosen)) > 15
    assert all(FIRST_PORT <= port <= LAST_PORT for port in chosen)


def test_the_stored_port_comes_first_unless_it_is_taken_or_has_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stored = taken.getsockname()[1]
        assert choose_port(Path("/home"), stored) != stored

    assert choose_port(Path("/home"), stored) == stored
    assert choose_port(Path("/home"), stored, {stored}) != stored


def test_when_all_of_the_range_is_taken_the_system_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "is_free", lambda port: False)

    port = choose_port(Path("/home"))

    monkeypatch.undo()
    assert is_free(port)
