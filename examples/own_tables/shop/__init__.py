"""A shop: an application with tables of its own beside those of dbschema."""
