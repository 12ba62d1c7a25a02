"""Query the audit trail of a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from dbschema.models import AuditLog
from dbschema.queries.arguments import text_of
from dbschema.queries.cursors import TimeCursor, cursor, newest_first, older_than, page_size

if TYPE_CHECKING:
    from sqlalchemy import Select


def trail(
    resource_type: str, resource_id: str, *, limit: int = 50, after: TimeCursor | str | None = None
) -> Select[AuditLog]:
    """Select the audit trail of a resource, newest first.

    Index: idx_audit_logs_resource.

    Args:
        resource_type: the type of the resource, as in the audit log.
        resource_id: the id of the resource, as in the audit log.
        limit: number of rows of the page, 1 to 1000.
        after: `TimeCursor.of(…)` of the last row, or its text.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
    """
    statement = select(AuditLog).where(
        AuditLog.resource_type == text_of("resource_type", resource_type),
        AuditLog.resource_id == text_of("resource_id", resource_id),
    )
    last = cursor(TimeCursor, after)
    if last is not None:
        statement = statement.where(older_than(AuditLog, last))
    return statement.order_by(*newest_first(AuditLog)).limit(page_size(limit))
