"""The full-text search of documents."""

from __future__ import annotations

from dbschema.ddl.functions import Argument
from dbschema.ddl.search import search_function

SEARCHED = 100_000
"""So many characters of a document are searched: PostgreSQL refuses a row whose words take more than a megabyte."""

# Words as they stand: documents are in any language. The index and the search must say the same, and Alembic compares an
# expression with what the server prints, letter by letter; hence the parentheses and quotes.
DOCUMENT_WORDS = (
    "to_tsvector('simple'::regconfig,"
    f""" ("left"({{0}}title, 1000) || ' '::text) || "left"({{0}}content, {SEARCHED}))"""
)

DOCUMENTS_BY_WORDS = search_function(
    "search_documents",
    "documents",
    (
        Argument("words", "text"),
        Argument("of_user", "uuid", "NULL"),
        Argument("after_created_at", "timestamp with time zone", "NULL"),
        Argument("after_id", "uuid", "NULL"),
    ),
    condition=DOCUMENT_WORDS.format("item.")
    + """ @@ websearch_to_tsquery('simple'::regconfig, words)
        AND (of_user IS NULL OR item.user_id = of_user)
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))""",
    order="item.created_at DESC, item.id",
    # By the index of words, whatever is asked for: planned anew, each call costs 0.1 ms, and the planner, who does not see what
    # it costs to take long texts apart, may read all documents of a user instead.
    plans="force_generic_plan",
    comment="Documents of the tenant that have the words, as search engines take them, newest first",
)
