"""Query documents by their words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from dbschema.models import Document
from dbschema.models.conversations import DOCUMENTS_BY_WORDS
from dbschema.queries.cursors import TimeCursor, cursor, newest_first, page_size
from dbschema.queries.searching import rows_of

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select


def with_words(
    words: str,
    *,
    user_id: UUID | None = None,
    limit: int = 50,
    after: TimeCursor | str | None = None,
) -> Select[Document]:
    """Select documents that contain the words in title or content, newest first.

    Words are compared in lower case and without stemming, because documents are in any language. Only the first 100,000
    characters of a content are searched.

    Index: idx_documents_words, by the function `search_documents`.

    Args:
        words: the syntax of search engines: `flood "main street" or bridge -closed`. Every text is valid.
        user_id: select only documents of this user.
        limit: number of rows of the page, 1 to 1000.
        after: `TimeCursor.of(…)` of the last row, or its text.

    Raises:
        BadSearch, BadCursor: an argument is invalid.
    """
    last = cursor(TimeCursor, after)
    hits = rows_of(
        Document,
        DOCUMENTS_BY_WORDS,
        words=_NO_TEXT.sub(" ", words),
        of_user=user_id,
        after_created_at=None if last is None else last.created_at,
        after_id=None if last is None else last.id,
        page_size=page_size(limit),
    )
    return select(hits).order_by(*newest_first(hits))


_NO_TEXT: Final = re.compile(
    "[\0\ud800-\udfff]"
)  # characters that PostgreSQL text cannot store, and that words do not contain
