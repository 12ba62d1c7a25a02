"""JSON documents, as PostgreSQL takes them: what it would refuse is refused before it is sent."""

from __future__ import annotations

import re
from json import JSONEncoder, loads
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import JSON, ClauseElement, null

from dbschema.loading.values import NUL, SURROGATE, Refused, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDE = frozenset({"utf-8", "utf8"})
# An even number of backslashes before it, or it is itself escaped.
_JSON_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_JSON_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def json(
    serializer: Callable[[Any], str] | None, encoding: str, *, version: bytes
) -> Callable[[Any], bytes | None]:
    """A JSON document, by the application's serializer if it has one.

    Args:
        serializer: the engine's `json_serializer`.
        encoding: the client's encoding.
        version: what JSONB has before the document.
    """
    # NaN is no JSON, and PostgreSQL refuses it.
    write = (
        serializer
        or JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    )

    def one(value: Any) -> bytes | None:
        if isinstance(value, ClauseElement):
            if value.compare(null()):
                return None
            raise wanted("JSON", value)
        if value is JSON.NULL:
            value = None
        try:
            document = write(value).encode(encoding)
        except UnicodeEncodeError:
            raise Refused(SURROGATE) from None
        except RecursionError:
            raise Refused("is nested too deeply, or holds itself") from None
        except (TypeError, ValueError):
            raise Refused("cannot be written as JSON") from None
        if b"\\u" in document:
            if _JSON_NUL.search(document):
                raise Refused(NUL)
            if _JSON_SURROGATE.search(document) and _has_half_a_pair(document.decode(encoding)):
                raise Refused(SURROGATE)
        return version + document

    return one


def many(encoding: str, *, version: bytes, none_is_data: bool) -> Callable[[Sequence[Any]], Sequence[bytes]]:
    """A whole column in one call, which takes a third of the time; raises where `json` has to look at the documents.

    Args:
        encoding, version: as `json`.
        none_is_data: None is JSON's null.
    """
    write = JSONEncoder(allow_nan=False, ensure_ascii=encoding not in _WIDE, separators=(",", ":")).encode
    mark = uuid4().hex  # which no document holds, since nobody knows it before
    between = f',"{mark}",'.encode()
    plain = {dict, list, str, int, float, bool} | ({type(None)} if none_is_data else set())

    def quick(column: Sequence[Any]) -> Sequence[bytes]:
        marked: list[Any] = [mark] * (2 * len(column) - 1)
        marked[::2] = column
        if not plain.issuperset(map(type, column)) or b"\\u" in (whole := write(marked).encode(encoding)):
            raise Refused("needs a closer look")
        found = whole[1:-1].split(between)
        if len(found) != len(column):
            raise Refused("needs a closer look")
        return [version + document for document in found]

    return quick


def _has_half_a_pair(document: str) -> bool:
    """Whether escapes in a document, which may also be whole pairs, stand for half of one."""
    try:
        JSONEncoder(ensure_ascii=False).encode(loads(document)).encode()
    except UnicodeEncodeError:
        return True
    return False
