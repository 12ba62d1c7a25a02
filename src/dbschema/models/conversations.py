"""Documents of users, their full-text search, and conversations with the assistant."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, desc, text
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.ddl.functions import Argument
from dbschema.ddl.registry import declare_for
from dbschema.ddl.search import search_function, searchable
from dbschema.models.identity import OfTenant, User
from dbschema.orm.base import Base
from dbschema.orm.mixins import Created, Timestamped, foreign_key
from dbschema.orm.relations import belongs_to, owns
from dbschema.orm.types import checked_text, json_object

SEARCHED = 100_000
"""Number of indexed characters of a document: PostgreSQL rejects a row whose words exceed one megabyte."""

# The configuration 'simple' does not stem words, because documents are in any language. The index and the search must use
# the same expression. Alembic compares the text of an expression with the output of the server: hence the parentheses and
# quotes.
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
    # The generic plan always uses the index of words. A custom plan costs 0.1 ms per call; the planner also ignores the cost
    # of parsing long texts, and may read all documents of a user instead.
    plans="force_generic_plan",
    comment="Documents of the tenant that have the words, as search engines take them, newest first",
)


class MessageRole(StrEnum):
    """The author of a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Document(OfTenant, Created, Base):
    """A text that a user gave to the assistant, with metadata."""

    __tablename__ = "documents"
    __table_args__ = (
        foreign_key("user_id", "users"),
        Index("idx_documents_user", "tenant_id", "user_id", desc("created_at")),
        Index("idx_documents_words", "tenant_id", text(DOCUMENT_WORDS.format("")), postgresql_using="gin"),
        {"comment": "Texts that users gave to the assistant"},
    )

    user_id: Mapped[UUID] = mapped_column(comment="Whose document it is")
    title: Mapped[str]
    content: Mapped[str] = mapped_column(comment="The text itself")
    metadata_: Mapped[dict[str, Any]] = json_object("metadata", comment="What else is known of it")
    vector_id: Mapped[str | None] = mapped_column(comment="Key of its embedding in S3 Vectors")

    user: Mapped[User] = belongs_to("Document", "user_id", "User")


class Conversation(OfTenant, Timestamped, Base):
    """A conversation of a user with the assistant."""

    __tablename__ = "conversations"
    __table_args__ = (
        foreign_key("user_id", "users"),
        Index("idx_conversations_user", "tenant_id", "user_id", desc("updated_at")),
        {"comment": "Conversations of users with the assistant"},
    )

    user_id: Mapped[UUID] = mapped_column(comment="Whose conversation it is")
    title: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = json_object("metadata", comment="What else is known of it")

    user: Mapped[User] = belongs_to("Conversation", "user_id", "User")
    messages: Mapped[list["Message"]] = owns(
        "Conversation",
        "Message",
        "conversation_id",
        back_populates="conversation",
        order_by="Message.created_at, Message.id",
    )


class Message(OfTenant, Created, Base):
    """A turn of a conversation."""

    __tablename__ = "messages"
    __table_args__ = (
        foreign_key("conversation_id", "conversations", cascade=True),
        Index("idx_messages_conversation", "tenant_id", "conversation_id", "created_at", "id"),
        {"comment": "Turns of conversations, read in the order of created_at and id"},
    )

    conversation_id: Mapped[UUID] = mapped_column(comment="The conversation it belongs to")
    role: Mapped[MessageRole] = checked_text(MessageRole, comment="Who says it")
    content: Mapped[str] = mapped_column(comment="What is said")
    metadata_: Mapped[dict[str, Any]] = json_object(
        "metadata", comment="What else is known of it, such as token counts"
    )

    conversation: Mapped[Conversation] = belongs_to(
        "Message", "conversation_id", "Conversation", back_populates="messages"
    )


searchable(Base.metadata.tables[Document.__tablename__])
declare_for(Base.metadata.tables[Document.__tablename__], DOCUMENTS_BY_WORDS)
