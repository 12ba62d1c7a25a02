"""Ids and addresses, read strictly: what stands in `SET LOCAL` can be nothing but digits and what divides them."""

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


def exact(given: UUID | str) -> UUID:
    """The id of a tenant as a plain UUID.

    Args:
        given: a UUID, or its text with hyphens and without anything around it.

    Raises:
        BadIdentity: it is neither.
    """
    found = _uuid(given)
    if found is None:
        raise not_a_tenant(given)
    return found


def exact_user(given: UUID | str) -> UUID:
    """The id of a user as a plain UUID.

    Args:
        given: as for a tenant.

    Raises:
        BadIdentity: it is neither.
    """
    found = _uuid(given)
    if found is None:
        raise not_a_user(given)
    return found


def exact_address(given: IPv4Address | IPv6Address | str) -> IPv4Address | IPv6Address:
    """An address as a plain one of IPv4 or IPv6, without the zone that an address of IPv6 may have.

    Args:
        given: an address, or its text without anything around it.

    Raises:
        BadIdentity: it is neither.
    """
    try:
        # A number would be taken for an address of IPv4, bytes for a packed one.
        found = ipaddress.ip_address(given) if isinstance(given, str) else given
    except ValueError:
        raise not_an_address(given) from None
    # A subclass may print itself as it likes, and a zone is any text.
    if isinstance(found, IPv4Address):
        return IPv4Address(int(found))
    if isinstance(found, IPv6Address):
        return IPv6Address(int(found))
    raise not_an_address(given)


def _uuid(given: object) -> UUID | None:
    if type(given) is UUID:
        return given
    if isinstance(given, UUID):
        # A subclass may print itself as it likes.
        return UUID(int=int(given))
    if isinstance(given, str) and _TEXT.fullmatch(given):
        return UUID(given)
    return None
