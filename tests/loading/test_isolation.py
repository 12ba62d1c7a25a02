"""Row security cannot be got round by loading: refused before SQL, and by the policy as well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from dbschema import bulk_load
from dbschema.errors import LoadError, MissingPrivilege
from dbschema.loading import BadRows
from dbschema.loading import fields as fields_of_loading
from dbschema.loading import load as loading
from dbschema.models import AuditLog, Incident, Tenant, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection


def count(connection: Connection) -> int:
    """Incidents of all tenants, as superuser."""
    connection.execute(text("RESET ROLE"))
    found = connection.scalar(text("SELECT count(*) FROM incidents"))
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("form", ["mapping", "text", "tuple", "instance"])
def test_a_row_of_another_tenant_is_refused_before_it_is_sent(
    session: Session, connection: Connection, mine: UUID, theirs: UUID, form: str
) -> None:
    statements: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda _c, _k, sql, *_: statements.append(sql))
    rows: dict[str, list[Any]] = {
        "mapping": [{"domain_id": "d", "tenant_id": mine}, {"domain_id": "d", "tenant_id": theirs}],
        "text": [{"domain_id": "d"}, {"domain_id": "d", "tenant_id": str(theirs)}],
        "tuple": [("d", mine), ("d", theirs)],
        "instance": [Incident(domain_id="d"), Incident(domain_id="d", tenant_id=theirs)],
    }
    columns = ["domain_id", "tenant_id"] if form == "tuple" else None

    with pytest.raises(BadRows, match="row 2: tenant_id is not the session's tenant") as raised:
        bulk_load(session, Incident, rows[form], columns=columns)

    assert str(theirs) not in str(raised.value)
    assert not [sql for sql in statements if "INSERT" in sql]
    assert count(connection) == 0


def test_the_policy_refuses_it_as_well(
    session: Session, connection: Connection, theirs: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a library that takes another tenant for the session's."""
    real = loading.shape_of

    def deceived(*arguments: Any) -> fields_of_loading.Shape:
        return replace(real(*arguments), tenant=theirs)

    monkeypatch.setattr(loading, "shape_of", deceived)

    with pytest.raises(BadRows, match="row-level security") as raised:
        bulk_load(session, Incident, [{"domain_id": "d"}] * 3)

    assert raised.value.sqlstate == "42501"
    assert [problem.row for problem in raised.value.problems] == [1, 2, 3]
    assert count(connection) == 0


def test_without_a_tenant_nothing_is_loaded(
    session: Session, connection: Connection, acting: Callable[..., None], mine: UUID
) -> None:
    acting(None)

    with pytest.raises(
        BadRows, match=r"row 1: tenant_id is missing, and the session has not set app\.tenant_id"
    ):
        bulk_load(session, Incident, [{"domain_id": "d"}])
    with pytest.raises(BadRows, match="row-level security"):
        bulk_load(session, Incident, [{"domain_id": "d", "tenant_id": mine}])

    assert count(connection) == 0


def test_who_bypasses_row_security_names_the_tenant_in_each_row(
    session: Session, connection: Connection, mine: UUID, theirs: UUID
) -> None:
    connection.execute(text("RESET ROLE"))
    connection.execute(text("SET LOCAL app.tenant_id = ''"))

    bulk_load(session, Incident, [{"domain_id": "d", "tenant_id": tenant} for tenant in (mine, theirs)])

    assert set(session.scalars(select(Incident.tenant_id))) == {mine, theirs}


def test_a_setting_that_is_no_uuid_is_told(session: Session, connection: Connection) -> None:
    connection.execute(text("SET LOCAL app.tenant_id = 'x'' OR true --'"))

    with pytest.raises(LoadError, match=r"setting app\.tenant_id of this session is not a UUID"):
        bulk_load(session, Incident, [{"domain_id": "d"}])


def test_a_tenant_may_not_make_another_tenant(session: Session) -> None:
    with pytest.raises(BadRows, match="row-level security"):
        bulk_load(session, Tenant, [{"id": uuid4(), "tenant_name": "x", "slug": "x"}])


def test_the_reader_may_not_load(session: Session, acting: Callable[..., None], mine: UUID) -> None:
    acting(mine, "dbschema_readonly")

    with pytest.raises(MissingPrivilege, match="permission denied for table incidents"):
        bulk_load(session, Incident, [{"domain_id": "d"}])


def test_an_upsert_into_an_append_only_table_is_refused(session: Session) -> None:
    rows = [{"id": uuid4(), "action": "a", "resource_type": "r"}]

    with pytest.raises(MissingPrivilege):
        bulk_load(session, AuditLog, rows, on_conflict="update", key=["id"])


def test_an_upsert_never_reaches_the_row_of_another_tenant(
    session: Session, connection: Connection, acting: Callable[..., None], mine: UUID, theirs: UUID
) -> None:
    """The same natural key, and even the same id."""
    same = uuid4()
    row = {"id": same, "username": "ann", "email": "ann@example.com"}
    acting(theirs)
    bulk_load(session, User, [{**row, "display_name": "Theirs"}])
    acting(mine)

    for key in (["username"], ["id"]):
        bulk_load(session, User, [{**row, "display_name": "Mine"}], on_conflict="update", key=key)

    connection.execute(text("RESET ROLE"))
    names = connection.execute(text("SELECT tenant_id, display_name FROM users")).all()
    assert set(map(tuple, names)) == {(mine, "Mine"), (theirs, "Theirs")}


def test_errors_do_not_tell_of_rows_of_another_tenant(
    session: Session, acting: Callable[..., None], mine: UUID, theirs: UUID
) -> None:
    """A user of the other tenant is, for a reference, a user that is not there."""
    acting(theirs)
    bulk_load(session, User, [{"username": "secret", "email": "secret@example.com"}])
    foreign = session.scalar(select(User.id))
    acting(mine)

    with pytest.raises(BadRows) as of_another:
        bulk_load(session, Incident, [{"domain_id": "d", "created_by": foreign}])
    with pytest.raises(BadRows) as of_nobody:
        bulk_load(session, Incident, [{"domain_id": "d", "created_by": uuid4()}])

    assert str(of_another.value) == str(of_nobody.value)
    assert session.scalar(select(func.count()).select_from(User)) == 0


class SessionOfOneTenant(Session):
    """A session that knows its tenant, as `dbschema.sessions` makes them."""

    tenant_id: UUID


def test_a_session_of_a_tenant_does_not_follow_a_setting_that_was_changed(
    connection: Connection, session: Session, mine: UUID, theirs: UUID
) -> None:
    with SessionOfOneTenant(connection, join_transaction_mode="create_savepoint") as of_mine:
        of_mine.tenant_id = mine
        of_mine.execute(select(func.set_config("app.tenant_id", str(theirs), True)))

        with pytest.raises(BadRows, match="row-level security"):
            bulk_load(of_mine, Incident, [{"domain_id": "d"}])

    assert count(connection) == 0
