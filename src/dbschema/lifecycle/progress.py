"""What is told while rows are on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Args:
        table: the table that is at work.
        rows: how many of its rows are done.
        total: how many there are; None where that is not known.
    """

    table: str
    rows: int
    total: int | None = None


if TYPE_CHECKING:
    OnProgress: TypeAlias = Callable[[Progress], object] | None
