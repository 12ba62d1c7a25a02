"""What an operator runs against a deployed database: is it what the models say, and does it keep what they promise?"""

from dbschema.verify.report import GROUPS, Check, Report
from dbschema.verify.running import run

__all__ = ["GROUPS", "Check", "Report", "run"]
