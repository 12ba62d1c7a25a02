"""Keep texts within the size that CloudFormation accepts, and append the code of an error."""

from __future__ import annotations

import json
import re
from typing import Final

LIMIT: Final = 4096
"""Maximum bytes of a response, as JSON in UTF-8."""

TEXT_LIMIT: Final = 2500
"""Maximum bytes of an error text in a response."""

_CUT: Final = " … (cut, the log has the whole)"
_UNWRITABLE: Final = re.compile("[\ud800-\udfff]")


def size(value: object) -> int:
    """Return the bytes of `value` as compact JSON in UTF-8, the size that JavaScript counts too."""
    return len(as_json(value).encode())


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """Cut `text` to `limit` bytes of JSON, quotes not counted, at a character boundary.

    Args:
        text: any text; surrogates, which UTF-8 cannot encode, are replaced.
        limit: at least the length of the mark that a cut text gets at its end.
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
    """Append the code of an error to `text`, in the form that the command line uses too."""
    return f"{text} [{code}]"


def as_json(value: object) -> str:
    """Return `value` as compact JSON, in the form that JavaScript writes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
