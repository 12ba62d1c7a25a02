"""What a verification found: a line a check, and their sums."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

STRUCTURE = (
    "connection",
    "extensions",
    "tables",
    "triggers",
    "functions",
    "row security",
    "policies",
    "grants",
    "roles",
)
BEHAVIOUR = (
    "behaviour",
    "isolation",
    "timestamps",
    "versions",
    "append-only",
    "removal",
    "foreign keys",
    "unique",
    "values",
    "nearest",
)
GROUPS = (*STRUCTURE, *BEHAVIOUR)
"""The groups of checks, in the order in which they are made: what stands in the catalog, then what happens."""


@dataclass(frozen=True)
class Check:
    """One line of a report.

    Args:
        group: one of `GROUPS`.
        name: what was asked, such as "things" or "things.code is unique within a tenant".
        passed: whether it is so.
        detail: one line: what was found, or what is wrong and what to do about it.
        tried: False if it could not be checked; the line then counts neither as passed nor as failed.
    """

    group: str
    name: str
    passed: bool
    detail: str = ""
    tried: bool = True

    @property
    def mark(self) -> str:
        """✓ or ✗, and - if it was not tried."""
        if not self.tried:
            return "-"
        return "✓" if self.passed else "✗"

    def __str__(self) -> str:
        return f"{self.mark} {self.name}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True)
class Report:
    """The checks of one database, in the order in which they were made.

    Args:
        database: its name.
        role: the role that the session had.
        checks: the lines.
    """

    database: str
    role: str
    checks: tuple[Check, ...]

    @property
    def total(self) -> int:
        """How many checks were made."""
        return len(self.checks) - len(self.untried)

    @property
    def passed(self) -> int:
        """How many of them are ✓."""
        return sum(check.passed and check.tried for check in self.checks)

    @property
    def failed(self) -> int:
        """How many of them are ✗; the command line ends with exit code 1 where there is one."""
        return self.total - self.passed

    @property
    def untried(self) -> tuple[Check, ...]:
        """Those that could not be checked, such as a CHECK constraint without an example."""
        return tuple(check for check in self.checks if not check.tried)

    @property
    def failures(self) -> tuple[Check, ...]:
        """Those that are ✗."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def rate(self) -> float:
        """The share of ✓, from 0 to 1; 0 where nothing was checked, which is no success."""
        return self.passed / self.total if self.total else 0.0

    @property
    def ok(self) -> bool:
        """Whether something was checked and all of it is ✓."""
        return bool(self.total) and not self.failed

    def of(self, group: str) -> tuple[Check, ...]:
        """The checks of one group."""
        return tuple(check for check in self.checks if check.group == group)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON knows."""
        return {
            "database": self.database,
            "role": self.role,
            "total": self.total,
            "passed": self.passed,
            "failed": self.failed,
            "untried": len(self.untried),
            "rate": self.rate,
            "checks": [asdict(check) for check in self.checks],
        }

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)
