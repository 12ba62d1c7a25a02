"""What is true of all drift: there is none in an untouched database, and none stays untold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbschema import catalog
from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection


def test_an_untouched_database_has_no_drift(connection: Connection) -> None:
    assert catalog.check(connection, metadata) == ()


def test_several_changes_are_told_in_a_fixed_order(differences_after: Callable[[str], list[str]]) -> None:
    differences = differences_after(
        "CREATE VIEW names AS SELECT username FROM users; ALTER TABLE teams DISABLE TRIGGER USER;"
        "DROP POLICY tenant_isolation ON users; DROP TABLE projects; REVOKE ALL ON teams FROM dbschema_app;"
        "ALTER TABLE teams DROP COLUMN description, ADD COLUMN motto text"
    )

    assert differences == [
        "missing table projects",
        "missing column description on teams",
        "extra column motto on teams",
        "missing policy tenant_isolation on users",
        "changed trigger update_teams_updated_at on teams: enabled",
        "extra view names",
        "missing grant TABLE teams TO dbschema_app",
    ]
