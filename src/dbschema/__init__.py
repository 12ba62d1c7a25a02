"""dbschema owns the PostgreSQL schema of multi-tenant applications: models, revisions, row security, safe runs."""
