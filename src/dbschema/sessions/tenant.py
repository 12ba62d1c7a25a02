"""The id of a tenant, read strictly: what stands in `SET LOCAL` can be nothing but 32 hexadecimal digits."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from dbschema.sessions.errors import NotATenant

_TEXT: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)


def exact(given: UUID | str) -> UUID:
    """`given` as a plain UUID.

    Args:
        given: a UUID, or its text with hyphens and without anything around it.

    Raises:
        NotATenant: it is neither.
    """
    if isinstance(given, UUID):
        # A subclass may print itself as it likes.
        return UUID(int=int(given))
    if isinstance(given, str) and _TEXT.fullmatch(given):
        return UUID(given)
    raise NotATenant(given)
