"""A port where nothing listens, and a server that begins to do so: a database that sleeps, and wakes."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def asleep() -> Iterator[socket.socket]:
    """A socket whose port refuses connections until it listens: bound, so that the system gives the port to nobody else."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def pass_on(client: socket.socket, port: int) -> None:
    """Bytes in both directions, until one side ends."""
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        while True:
            for one in select.select([client, server], [], [])[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)


@contextmanager
def awake(bound: socket.socket, server: int) -> Iterator[None]:
    """Something listens now at the port of what was `asleep`: the server."""

    def serve() -> None:
        while True:
            try:
                client, _ = bound.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(client, server), daemon=True).start()

    bound.listen()
    threading.Thread(target=serve, daemon=True).start()
    yield
    bound.shutdown(socket.SHUT_RDWR)
