"""Compares a database with the models without building them: names, types and flags.

For a session that may not create the throw-away schema in which `dbschema.catalog` compares. Defaults, the conditions
of checks and the definitions of indexes are not read; bodies of functions and the isolation policies are.
"""

from dbschema.verify.unbuilt.comparison import compare

__all__ = ["compare"]
