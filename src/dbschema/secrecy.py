"""Mappings that hold secrets, with a `repr` of names alone: whatever prints the variables of a traceback's frames prints that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any


class Parameters(dict[str, Any]):
    """What a connection is opened with, by libpq's names; the password is one of them."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


class Variables(Mapping[str, str]):
    """Variables of an environment, to be read.

    Args:
        source: where they are; None: the environment of this process, as it is when it is asked.
    """

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source: Mapping[str, str] = os.environ if source is None else source

    def __getitem__(self, name: str) -> str:
        return self._source[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"
