"""The column of an email address."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy.orm import MappedColumn, mapped_column

from dbschema.orm.types import SAMPLE, LowerText


def email(*, comment: str) -> MappedColumn[Any]:
    """A column for an email address, stored in lower case."""
    return mapped_column(LowerText(), comment=comment, info={SAMPLE: _sample})


def _sample() -> str:
    return f"{uuid4().hex[:16]}@example.com"
