"""Data that a database starts with: `reference` is what every tenant needs, `sample` is something to look at."""

from dbschema.seeds import reference, sample

__all__ = ["reference", "sample"]
