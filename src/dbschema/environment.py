"""Declare an environment variable beside the code that reads it; docs/environment.md is generated from the declarations."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

Reader: TypeAlias = Literal[
    "connections", "runs", "command line", "function", "private server", "tests", "make"
]
"""Which part reads a variable: whatever connects, or runs revisions; or one of the tools."""


class Variable(str):
    """The name of an environment variable, with its documentation.

    Args:
        name: the name; the value itself is the name, so a mapping of the environment is read with it.
        meaning: what it sets, as a sentence.
        reader: the part that reads it.
        default: what counts if it is not set.
        example: a value.
    """

    meaning: str
    reader: Reader
    default: str
    example: str

    __slots__ = ("default", "example", "meaning", "reader")

    def __new__(
        cls,
        name: str,
        meaning: str = "",  # a copy and a pickle keep the name alone
        *,
        reader: Reader = "connections",
        default: str = "",
        example: str = "",
    ) -> Self:
        """Keep the documentation beside the name."""
        self = super().__new__(cls, name)
        self.meaning = meaning
        self.reader = reader
        self.default = default
        self.example = example
        return self
