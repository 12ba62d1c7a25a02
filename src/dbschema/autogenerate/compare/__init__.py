"""One module a kind of object: what the models want, against what the database has, as operations."""
