"""Initial data of a database: `reference` data for every tenant, and `sample` tenants for demonstration."""

from dbschema.seeds import reference, sample

__all__ = ["reference", "sample"]
