"""Clocks of a test's own, so that what it finds is the same on a machine that stands still for some seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Stands in for the module `time`: its time passes by pauses alone, which take none.

    Attributes:
        now: seconds, of no certain beginning.
        pauses: how long each pause was.
        at_pause: what happens at which pause, counted from 1.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.at_pause: dict[int, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if (action := self.at_pause.get(len(self.pauses))) is not None:
            action()


class FastForward:
    """Stands in for the module `time`: the real time, and `ahead` seconds more."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
