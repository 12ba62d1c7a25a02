"""A foreign key that no longer fires is a difference, though its definition is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from dbschema import catalog
from dbschema.models import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("messages", {"fk_messages_tenant_id_conversation_id"}),
        ("fulfillment", {"fk_fulfillment_tenant_id_order_id"}),
        (
            "image_evidence",
            {"fk_image_evidence_tenant_id", "fk_image_evidence_tenant_id_incident_id"},
        ),
    ],
)
def test_a_foreign_key_whose_triggers_are_disabled_is_found(
    connection: Connection, table: str, expected: set[str]
) -> None:
    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))

    found = [
        difference
        for difference in catalog.check(connection, metadata)
        if difference.identity.kind == "constraint"
    ]

    assert {difference.identity.name for difference in found} == expected
    assert {difference.attribute for difference in found} == {"enforced"}
