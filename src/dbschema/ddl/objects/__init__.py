"""What SQLAlchemy has no word for, as frozen values that know how to create and drop themselves.

One declaration serves `create_all()`, autogenerate, offline SQL and `drop_all()`. Statements are plain SQL: no percent
signs doubled, no colons escaped; whoever executes or renders them escapes for their own means.
"""

from dbschema.ddl.objects.base import DatabaseObject, Phase, dollar_quoted, qualified, quote
from dbschema.ddl.objects.extensions import Extension
from dbschema.ddl.objects.functions import Argument, Function
from dbschema.ddl.objects.grants import Grant
from dbschema.ddl.objects.roles import Role
from dbschema.ddl.objects.row_security import Policy, RowSecurity
from dbschema.ddl.objects.triggers import Trigger
from dbschema.identity import Identity

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
    "dollar_quoted",
    "qualified",
    "quote",
]
