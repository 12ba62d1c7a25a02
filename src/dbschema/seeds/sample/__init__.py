"""Sample data: three small shops with everything that the 21 tables can hold, the same in every database."""

from dbschema.seeds.sample.loading import apply

__all__ = ["apply"]
