"""Strict parsers for ids and addresses, whose text is a literal in `SET LOCAL`: only digits and separators remain."""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from uuid import UUID

from dbschema.sessions.errors import not_a_tenant, not_a_user, not_an_address

_TEXT: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)


def exact(value: UUID | str) -> UUID:
    """Return the id of a tenant as a plain UUID.

    Args:
        value: a UUID, or its text with hyphens and without other characters.

    Raises:
        BadIdentity: the value is neither.
    """
    parsed = _uuid(value)
    if parsed is None:
        raise not_a_tenant(value)
    return parsed


def exact_user(value: UUID | str) -> UUID:
    """Return the id of a user as a plain UUID. See `exact`."""
    parsed = _uuid(value)
    if parsed is None:
        raise not_a_user(value)
    return parsed


def exact_address(value: IPv4Address | IPv6Address | str) -> IPv4Address | IPv6Address:
    """Return an address as a plain IPv4 or IPv6 address, without the zone of an IPv6 address.

    Args:
        value: an address, or its text without other characters.

    Raises:
        BadIdentity: the value is neither.
    """
    try:
        # `ip_address` would also accept an integer or packed bytes.
        parsed = ipaddress.ip_address(value) if isinstance(value, str) else value
    except ValueError:
        raise not_an_address(value) from None
    # A subclass can have any text form, and a zone is any text.
    if isinstance(parsed, IPv4Address):
        return IPv4Address(int(parsed))
    if isinstance(parsed, IPv6Address):
        return IPv6Address(int(parsed))
    raise not_an_address(value)


def _uuid(value: object) -> UUID | None:
    if type(value) is UUID:
        return value
    if isinstance(value, UUID):
        # A subclass can have any text form.
        return UUID(int=int(value))
    if isinstance(value, str) and _TEXT.fullmatch(value):
        return UUID(value)
    return None
