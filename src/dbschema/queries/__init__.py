"""Queries that stay as fast under row security as without it, one module a domain.

Each function gives a `Select` for the rows that a session of a tenant sees, through an index that is named in its
docstring. It goes on as any `select()` does: with `where`, `options`, `join`, or as a subquery. Pages follow each other by a
cursor, made of the last row.

A search that no index would serve under a policy asks a function of the database (`dbschema.ddl.search`). Its rows are then
those of an alias, which `entity_of` gives, and conditions added to it choose among the rows of the page.
"""

from dbschema.queries.cursors import DistanceCursor, TimeCursor
from dbschema.queries.errors import BadCursor, BadSearch, QueryError
from dbschema.queries.places import area_of
from dbschema.queries.searching import entity_of

__all__ = ["BadCursor", "BadSearch", "DistanceCursor", "QueryError", "TimeCursor", "area_of", "entity_of"]
