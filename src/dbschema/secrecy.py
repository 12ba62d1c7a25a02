"""Define mappings for secrets whose `repr` shows only names, so that a traceback with variables shows no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any


class Parameters(dict[str, Any]):
    """The parameters of a connection by their libpq names, with the password."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


class Variables(Mapping[str, str]):
    """A read-only view of environment variables.

    Args:
        source: the variables; None: the environment of this process at the time of each read.
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
