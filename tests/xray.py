"""A stand-in for the daemon of X-Ray: what an SDK sends it over UDP."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 65_536


@dataclass
class XRay:
    """The daemon.

    Attributes:
        everything: the packets that were read, as they came.
    """

    listener: socket.socket
    everything: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """Those by which a function finds it; tracing is on."""
        port = self.listener.getsockname()[1]
        return {"DBSCHEMA_TRACING": "1", "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{port}"}

    def received(self) -> list[dict[str, Any]]:
        """The segments since the last time. A call sends its own before it answers, so that nothing is to be waited for."""
        found = []
        while True:
            try:
                packet = self.listener.recv(_LARGEST).decode()
            except BlockingIOError:
                return found
            self.everything.append(packet)
            header, _, segment = packet.partition("\n")
            assert json.loads(header) == {"format": "json", "version": 1}
            found.append(json.loads(segment))


@contextmanager
def xray_daemon() -> Iterator[XRay]:
    """It, listening."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        yield XRay(listener)
