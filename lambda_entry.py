"""Entry point of the function in AWS Lambda. The implementation is in `dbschema.tools.deploy`."""

from __future__ import annotations

from dbschema.tools.deploy.handler import handler, is_complete

__all__ = ["handler", "is_complete"]
