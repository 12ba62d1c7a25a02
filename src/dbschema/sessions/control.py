"""Statements in text that a session refuses: they would end its transaction, or change for whom it works, behind its back.

Mistakes, not attacks: who can run SQL of his own, can do so in a function too. What limits him is the login.
"""

from __future__ import annotations

import re
from typing import Final

from dbschema.sessions.errors import TransactionControl

_BEGINNING: Final = r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*"
_OURS: Final = r'"?app"?\s*\.\s*"?(?:tenant_id|user_id|ip_address|unaudited_tenant)"?(?!\w)'
_CONTROL: Final = re.compile(
    rf"{_BEGINNING}(?:"
    r"(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION|DISCARD|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b"
    rf"|RESET\s+(?:(?:ALL|ROLE|SESSION)\b|{_OURS})"
    r"|SET\s+(?:LOCAL\s+|SESSION\s+)?(?:ROLE|SESSION\s+AUTHORIZATION|AUTHORIZATION)\b"
    # Without LOCAL the connection takes it back to the pool, and the next session acts as somebody else.
    rf"|SET\s+(?:SESSION\s+)?{_OURS})",
    re.IGNORECASE,
)
_TENANT: Final = re.compile(rf'{_BEGINNING}SET\s+LOCAL\s+"?app"?\s*\.\s*"?tenant_id"?(?!\w)', re.IGNORECASE)


def check(statement: str, *, tenant: bool) -> None:
    """See that a statement leaves the transaction as it is, with its role and what the session said of itself.

    Args:
        statement: the text.
        tenant: whether the session has a tenant, which must stay as well.

    Raises:
        TransactionControl: it does not.
    """
    if _CONTROL.match(statement) or (tenant and _TENANT.match(statement)):
        raise TransactionControl(" ".join(statement.split())[:60])
