"""Bulk loading under row-level security: COPY into a temporary table, then INSERT through the policies."""

from __future__ import annotations

from dbschema._progress import Progress
from dbschema.loading.errors import BadRows, Problem
from dbschema.loading.load import Loaded, async_bulk_load, bulk_load

__all__ = ["BadRows", "Loaded", "Problem", "Progress", "async_bulk_load", "bulk_load"]
