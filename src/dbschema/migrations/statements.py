"""SQL of several statements taken apart into single ones, for a place that takes one at a time.

Only as much of PostgreSQL's syntax is known here as tells where a semicolon ends a statement: quotes of every kind, comments,
brackets, and the bodies of functions that are written without quotes (BEGIN ATOMIC … END).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*)
    | (?P<comment>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<quoted>(?:[uU]&)?(?:'(?:[^']|'')*'|"(?:[^"]|"")*"))
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$(?P<body>.*?)\$(?P=tag)\$
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d\w*|\$\d+)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_ROUTINES: Final = ("FUNCTION", "PROCEDURE")


def split(sql: str) -> list[str]:
    """The single statements of `sql`, without the semicolons between them; empty ones and mere comments are left out.

    What is not closed (a quote, a comment) goes to the end: the server will say what is wrong with it.
    """
    return list(_split(sql))


def _split(sql: str) -> Iterator[str]:
    position = start = depth = blocks = 0
    words: list[str] = []  # the first few, which tell whether it makes a routine
    filled = False
    while position < len(sql):
        token = _TOKEN.match(sql, position)
        if token is None:  # no character is beyond the last alternative
            break
        kind, text = token.lastgroup, token[0]
        position = _after_comment(sql, token.end()) if kind == "comment" else token.end()
        if kind in {"space", "comment"}:
            continue
        if text == ";" and depth <= 0 and blocks == 0:
            if filled:
                yield sql[start : token.start()].strip()
            depth, words, filled = 0, [], False
            continue
        if not filled:
            start, filled = token.start(), True
        if text in "()[]":
            depth += 1 if text in "([" else -1
        elif kind == "word":
            if len(words) < 4:
                words.append(text.upper())
            blocks += _opened(text.upper(), words, blocks)
    if filled:
        yield sql[start:].strip()


def _opened(word: str, words: list[str], blocks: int) -> int:
    """1 where `word` opens a block in the body of a routine, -1 where it closes one, else 0."""
    if words[0] != "CREATE" or not any(routine in words for routine in _ROUTINES):
        return 0
    if word == "BEGIN" or (word == "CASE" and blocks):
        return 1
    return -1 if word == "END" and blocks else 0


def _after_comment(sql: str, position: int) -> int:
    """The end of the comment that was opened before `position`; comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            return len(sql)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position
