"""Query the messages of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from dbschema.models import Message
from dbschema.queries.cursors import TimeCursor, cursor, later_than, page_size

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select


def messages(
    conversation_id: UUID, *, limit: int = 50, after: TimeCursor | str | None = None
) -> Select[Message]:
    """Select the messages of a conversation, oldest first.

    Index: idx_messages_conversation.

    Args:
        conversation_id: the id of the conversation.
        limit: number of rows of the page, 1 to 1000.
        after: `TimeCursor.of(…)` of the last row, or its text.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
    """
    statement = select(Message).where(Message.conversation_id == conversation_id)
    last = cursor(TimeCursor, after)
    if last is not None:
        statement = statement.where(later_than(Message, last))
    return statement.order_by(Message.created_at, Message.id).limit(page_size(limit))
