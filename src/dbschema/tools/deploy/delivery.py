"""Send the response to CloudFormation: one PUT to the address in the event.

Without a response, a stack waits for an hour or more. So this module imports the standard library only, sends before the
timeout of the function, and retries after a network error.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dbschema._retry import Pauses, Retry
from dbschema.tools.deploy.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTEMPTS: Final = 5
_FIRST_PAUSE: Final = 0.2
_TIMEOUT: Final = 5.0


class Responder:
    """Send exactly one response: when the work ends, or when the timer fires first.

    Args:
        url: the address from CloudFormation, already checked.
        attempts: the maximum number of attempts.
        pause: seconds before the second attempt; each further pause is twice as long.
    """

    def __init__(self, url: str, *, attempts: int = _ATTEMPTS, pause: float = _FIRST_PAUSE) -> None:
        self._url, self._attempts, self._pause = url, attempts, pause
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.sent = False

    def send(self, body: bytes) -> bool:
        """Send `body` unless a response was sent before; return whether this body was sent.

        Raises:
            NotDelivered: all attempts failed.
        """
        with self._lock:
            if self.sent:
                return False
            _deliver(self._url, body, self._attempts, self._pause)
            self.sent = True
            return True

    def send_at(self, moment: float | None, make: Callable[[], bytes], on_sent: Callable[[], None]) -> None:
        """At `moment` on the monotonic clock, send the result of `make`, unless a response was sent before; None: never."""
        if moment is None:
            return

        def late() -> None:
            try:
                if self.send(make()):
                    on_sent()
            except NotDelivered:
                return  # `send` is called again when the work ends

        self._timer = threading.Timer(max(0.0, moment - time.monotonic()), late)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()


def _deliver(url: str, body: bytes, attempts: int, pause: float) -> None:
    import http.client  # noqa: PLC0415  costs time, and few calls need it

    parts = urlsplit(url)
    host = parts.hostname or ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    retry = Retry(Pauses(pause, math.inf, least=0.5))
    while True:
        try:
            status = _put(parts.scheme, host, parts.port, path, body)
        except (OSError, http.client.HTTPException) as error:
            # Errors of the standard library only: their texts do not contain the signed path.
            reason = getattr(error, "strerror", None) or type(error).__name__
        else:
            if status < 300:
                return
            reason = f"HTTP {status}"
            if status < 500:
                raise NotDelivered(host, retry.attempt, reason)
        if retry.attempt >= attempts:
            raise NotDelivered(host, retry.attempt, reason)
        retry.pause()


def _put(scheme: str, host: str, port: int | None, path: str, body: bytes) -> int:
    import http.client  # noqa: PLC0415  as above

    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=_TIMEOUT)
    try:
        # The address is signed for an empty Content-Type.
        connection.request("PUT", path, body, {"Content-Type": "", "Content-Length": str(len(body))})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
