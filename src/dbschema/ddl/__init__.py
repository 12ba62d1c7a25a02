"""Database objects that SQLAlchemy has no word for: declared once, created, compared and dropped from there."""

from dbschema.ddl.objects import (
    Argument,
    DatabaseObject,
    Extension,
    Function,
    Grant,
    Identity,
    Phase,
    Policy,
    Role,
    RowSecurity,
    Trigger,
)
from dbschema.ddl.registry import declare, declare_for, declared, withdraw

__all__ = [
    "Argument",
    "DatabaseObject",
    "Extension",
    "Function",
    "Grant",
    "Identity",
    "Phase",
    "Policy",
    "Role",
    "RowSecurity",
    "Trigger",
    "declare",
    "declare_for",
    "declared",
    "withdraw",
]
