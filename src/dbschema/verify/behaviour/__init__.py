"""What happens when rows are written and read, as the role of an application: the promises, put to the test."""

from dbschema.verify.behaviour.asking import check

__all__ = ["check"]
