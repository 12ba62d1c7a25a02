"""The sample's documents, and conversations with the assistant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbschema.models import MessageRole
from dbschema.seeds.sample.repeatable import at

if TYPE_CHECKING:
    from dbschema.seeds.sample.companies import Company
    from dbschema.seeds.writing import Row, Rows


def rows(company: Company) -> Rows:
    """Return documents, conversations, and their messages at intervals of one minute."""
    conversations: list[Row] = []
    messages: list[Row] = []
    for number, conversation in enumerate(company.content["conversations"]):
        day = 40 + 15 * number
        turns = conversation["messages"]
        key = company.key("conversations", conversation["title"])
        conversations.append(
            {
                **key,
                "user_id": company.user(conversation["by"]),
                "title": conversation["title"],
                "metadata": {"city": company.city, "turns": len(turns)},
                "created_at": at(day),
                "updated_at": at(day, len(turns) - 1),
            }
        )
        messages += [
            {
                **company.key("messages", f"{conversation['title']}/{turn}"),
                "conversation_id": key["id"],
                "role": MessageRole(role),
                "content": content,
                "metadata": {"words": len(content.split())},
                "created_at": at(day, turn),
            }
            for turn, (role, content) in enumerate(turns)
        ]
    return {
        "documents": [
            _document(company, number, item) for number, item in enumerate(company.content["documents"])
        ],
        "conversations": conversations,
        "messages": messages,
    }


def _document(company: Company, number: int, document: dict[str, Any]) -> Row:
    key = company.key("documents", document["title"])
    return {
        **key,
        "user_id": company.user(document["by"]),
        "title": document["title"],
        "content": document["content"],
        "metadata": {"language": "en", "words": len(document["content"].split())},
        "vector_id": f"{company.slug}/{key['id']}",
        "created_at": at(8 + 9 * number),
    }
