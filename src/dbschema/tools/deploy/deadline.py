"""The deadline of one call: when to start no further revision, and when to cancel the running revision.

Lambda kills a function at its timeout, and the deployment fails without a response. So the running statement is cancelled
earlier: its revision is rolled back, and the next call can continue.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_MARGIN: Final = 15.0
_SHORTEST_MARGIN: Final = 0.5
_PAUSE: Final = 0.2


class Deadline:
    """The deadline of one call, on the monotonic clock.

    Args:
        remaining: seconds until the timeout of the function; None: no timeout.

    Attributes:
        began: when the call began.
        stop_at: when the running statement is cancelled, to leave time for a response; None: never.
        answer_at: when the response must be sent, even if the work still runs; None: never.
    """

    def __init__(self, remaining: float | None) -> None:
        self.began = time.monotonic()
        self.stop_at: float | None = None
        self.answer_at: float | None = None
        if remaining is not None:
            margin = min(_LONGEST_MARGIN, max(_SHORTEST_MARGIN, remaining / 10))
            end = self.began + remaining
            self.stop_at, self.answer_at = end - margin, end - margin / 2
        self._watched: Any = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, context: Any) -> Deadline:
        """Read the deadline from a Lambda context; without a context there is no deadline."""
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        return cls(None if remaining is None else remaining() / 1000)

    @property
    def left(self) -> float | None:
        """Seconds until `stop_at`, never negative; None: no deadline."""
        return None if self.stop_at is None else max(0.0, self.stop_at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether `stop_at` has passed."""
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    @property
    def used(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.began

    def watch(self, connection: Any) -> None:
        """Watch a connection of psycopg instead of the previous one: at `stop_at`, its statement is cancelled."""
        with self._lock:
            self._watched = connection

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """From `stop_at` to the end of the block, cancel the statements of the watched connection repeatedly."""
        if self.stop_at is None:
            yield
            return
        ended = threading.Event()
        watchdog = threading.Thread(target=self._cancel, args=(ended,), name="dbschema-deadline", daemon=True)
        watchdog.start()
        try:
            yield
        finally:
            ended.set()
            self.watch(None)

    def _cancel(self, ended: threading.Event) -> None:
        if ended.wait(self.left):
            return
        while not ended.wait(_PAUSE):
            # The lock prevents the cancellation of a connection that is no longer watched. A cancellation that fails, or
            # arrives between two statements, is repeated.
            with self._lock, suppress(Exception):
                if self._watched is not None:
                    self._watched.cancel_safe(timeout=1.0)
