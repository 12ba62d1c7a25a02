"""Declare database objects that SQLAlchemy does not support; the declaration creates, compares and drops them."""

from dbschema.ddl.base import DatabaseObject, Phase
from dbschema.ddl.extensions import Extension
from dbschema.ddl.functions import Argument, Function
from dbschema.ddl.grants import Grant
from dbschema.ddl.registry import declare, declare_for, declared, withdraw
from dbschema.ddl.roles import Role
from dbschema.ddl.row_security import Policy, RowSecurity
from dbschema.ddl.triggers import Trigger
from dbschema.sql import Identity

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
