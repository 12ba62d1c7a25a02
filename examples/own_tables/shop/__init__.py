"""A shop: an application with its own tables in addition to those of dbschema."""
