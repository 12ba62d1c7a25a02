"""The infrastructure around a database that dbschema owns. `migration.DbSchemaMigration` alone serves any existing cluster."""
