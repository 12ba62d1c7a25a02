"""Bulk loading under row security: rows over COPY into a temporary table, and from there through the policies."""

from __future__ import annotations

from dbschema._progress import Progress
from dbschema.loading.errors import BadRows, Problem
from dbschema.loading.load import Loaded, async_bulk_load, bulk_load

__all__ = ["BadRows", "Loaded", "Problem", "Progress", "async_bulk_load", "bulk_load"]
