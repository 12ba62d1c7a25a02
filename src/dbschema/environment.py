"""Declare environment variables beside the code that reads them; docs/environment.md is generated from them."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

Reader: TypeAlias = Literal[
    "connections", "runs", "command line", "function", "private server", "tests", "make"
]
"""The part that reads a variable: all connections, all runs of revisions, or a tool."""


class Variable(str):
    """The name of an environment variable, with its documentation.

    Args:
        name: the name. The object is this string, so that it can be a key of `os.environ`.
        meaning: the effect of the variable, as a sentence.
        reader: the part that reads it.
        default: the behaviour if it is not set.
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
        meaning: str = "",  # a copy or a pickle keeps the name only
        *,
        reader: Reader = "connections",
        default: str = "",
        example: str = "",
    ) -> Self:
        """Create the string, and attach the documentation."""
        self = super().__new__(cls, name)
        self.meaning = meaning
        self.reader = reader
        self.default = default
        self.example = example
        return self
