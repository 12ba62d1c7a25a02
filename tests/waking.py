"""A port where nothing listens, and a server that begins to do so: a database that sleeps, and wakes."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


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
def awake(port: int, server: int) -> Iterator[None]:
    """Something listens at `port` now: the server."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(client, server), daemon=True).start()

    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
