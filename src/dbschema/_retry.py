"""Wait for the next attempt: exponential backoff with jitter, bounded by a deadline.

All loops of this package that retry after a pause use `Retry`. The loop itself is in the caller, which decides on which
error to retry::

    retry = Retry(Pauses(0.2, 5.0), seconds=60)
    while True:
        try:
            return connect()
        except NotReady:
            if not retry.again():
                raise
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Pauses:
    """The lengths of the pauses between attempts.

    Args:
        first: the upper limit of the first pause, in seconds; it doubles with each attempt.
        longest: the upper limit of all pauses; None: `first`, so that the limit does not grow.
        least: the minimum of a pause, as a fraction of its limit. 0 is full jitter, 1 no jitter.
    """

    first: float
    longest: float | None = None
    least: float = 0.0

    def draw(self, number: int) -> float:
        """Draw the length of a pause at random.

        Args:
            number: the number of the pause, from 1.
        """
        longest = self.first if self.longest is None else self.longest
        limit = min(longest, self.first * 2 ** min(number - 1, 30))
        return random.uniform(self.least * limit, limit)  # noqa: S311  spreads the attempts of several clients; no secret


class Retry:
    """The attempts at an operation.

    Args:
        pauses: the pauses between attempts.
        seconds: from the first attempt to the deadline; None: no deadline.
        began: when the first attempt began, by the clock; None: now.
        clock: a monotonic clock; None: `time.monotonic`.
        sleep: waits for a number of seconds; None: `time.sleep`. With asyncio, a function that lets other tasks run.

    Attributes:
        attempt: the number of the current attempt, from 1.
        began: when the first attempt began, by the clock.
    """

    def __init__(
        self,
        pauses: Pauses,
        seconds: float | None = None,
        *,
        began: float | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._pauses = pauses
        self._clock = time.monotonic if clock is None else clock
        self._sleep = time.sleep if sleep is None else sleep
        self.attempt = 1
        self.began = self._clock() if began is None else began
        self._deadline = math.inf if seconds is None else self.began + seconds

    @property
    def waited(self) -> float:
        """Seconds since the first attempt."""
        return self._clock() - self.began

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._deadline - self._clock()

    def draw(self) -> float:
        """Draw the length of the next pause, limited by the deadline."""
        return max(0.0, min(self._pauses.draw(self.attempt), self.left))

    def pause(self, seconds: float | None = None) -> None:
        """Wait for the next attempt, even after the deadline.

        Args:
            seconds: the length of the pause; None: `draw`.
        """
        self._sleep(self.draw() if seconds is None else seconds)
        self.attempt += 1

    def again(self) -> bool:
        """Wait for the next attempt, and return True; after the deadline, return False at once."""
        if self.left <= 0:
            return False
        self.pause()
        return True


def wait_until(done: Callable[[], bool], pauses: Pauses, seconds: float) -> bool:
    """Call `done` until it returns True; return False at the deadline, `seconds` from now."""
    retry = Retry(pauses, seconds)
    while not done():
        if not retry.again():
            return False
    return True
