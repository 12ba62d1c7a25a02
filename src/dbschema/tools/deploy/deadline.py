"""The time of one call: when to begin no further revision, and when to stop the one that runs.

A function that is still at work when its time is over is killed, and the deployment fails without an answer; so the last
statement is cancelled before, which undoes its revision and leaves the database as the next call wants to find it.
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
    """When one call has to end, by the monotonic clock.

    Args:
        remaining: seconds that the function has; None: no end, as where nobody counts.

    Attributes:
        began: when the call began.
        stop_at: when what still runs is cancelled, so that there is time for an answer; None: never.
        answer_at: when an answer has to be on its way, whatever the work does.
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
        """That of a Lambda context; where there is none, no end."""
        ask = getattr(context, "get_remaining_time_in_millis", None)
        return cls(None if ask is None else ask() / 1000)

    @property
    def left(self) -> float | None:
        """Seconds until what runs is cancelled; never negative."""
        return None if self.stop_at is None else max(0.0, self.stop_at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether that time has come."""
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    @property
    def used(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.began

    def watch(self, connection: Any) -> None:
        """Cancel what `connection`, of psycopg, executes when the time is over; it takes the place of an earlier one."""
        with self._lock:
            self._watched = connection

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Within this block, what is watched is cancelled when the time is over, again and again until the block ends."""
        if self.stop_at is None:
            yield
            return
        ended = threading.Event()
        guard = threading.Thread(target=self._cancel, args=(ended,), name="dbschema-deadline", daemon=True)
        guard.start()
        try:
            yield
        finally:
            ended.set()
            self.watch(None)

    def _cancel(self, ended: threading.Event) -> None:
        if ended.wait(self.left):
            return
        while not ended.wait(_PAUSE):
            # Under the lock, so that nothing is cancelled that is not watched any more. A cancellation that fails, or
            # comes between two statements, is followed by another one.
            with self._lock, suppress(Exception):
                if self._watched is not None:
                    self._watched.cancel_safe(timeout=1.0)
