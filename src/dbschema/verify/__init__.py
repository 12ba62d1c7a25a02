"""Verify a deployed database: its catalog against the models, and its behaviour with rows of two tenants."""

from dbschema.verify.report import GROUPS, Check, Report
from dbschema.verify.running import run

__all__ = ["GROUPS", "Check", "Report", "run"]
