"""Queries that are as fast with row-level security as without it, one module per domain.

Each function returns a `Select` of the rows that a tenant's session sees. Its docstring names the index that it uses. The
`Select` can be extended as usual: with `where`, `options`, `join`, or as a subquery. A cursor, created from the last row
of a page, selects the next page.

If a policy would prevent the use of an index, the search calls a function of the database (`dbschema.ddl.search`). Its
rows belong to an alias, which `entity_of` returns; added conditions filter the rows of the page.
"""

from dbschema.queries.cursors import DistanceCursor, TimeCursor
from dbschema.queries.errors import BadCursor, BadSearch, QueryError
from dbschema.queries.places import area_of
from dbschema.queries.searching import entity_of

__all__ = ["BadCursor", "BadSearch", "DistanceCursor", "QueryError", "TimeCursor", "area_of", "entity_of"]
