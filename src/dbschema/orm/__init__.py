"""What models are made of: the declarative base, types, mixins and relationships."""
