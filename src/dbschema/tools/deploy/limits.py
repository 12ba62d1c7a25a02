"""Texts within the bytes that CloudFormation accepts, with the code of an error at their end."""

from __future__ import annotations

import json
import re
from typing import Final

LIMIT: Final = 4096
"""Bytes of an answer, as JSON in UTF-8."""


TEXT_LIMIT: Final = 2500
"""Bytes of an error's text in it."""


_CUT: Final = " … (cut, the log has the whole)"


_UNWRITABLE: Final = re.compile("[\ud800-\udfff]")


def size(value: object) -> int:
    """The bytes of `value` as JSON in UTF-8, as JavaScript writes it too."""
    return len(as_json(value).encode())


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text` so far that it fits into `limit` bytes as JSON, without its quotes; never half a character.

    Args:
        text: any text; what cannot be written as UTF-8 is replaced.
        limit: at least as long as the sign that something was left out.
    """
    text = _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    if size(text) - 2 <= limit:
        return text
    room = limit - size(_CUT) + 2
    kept, used = 0, 0
    for character in text:
        used += size(character) - 2
        if used > room:
            break
        kept += 1
    return text[:kept] + _CUT


def coded(text: str, code: str) -> str:
    """`text` with the code of its error at the end, as the command line shows it too."""
    return f"{text} [{code}]"


def as_json(value: object) -> str:
    """`value` as compact JSON, as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
