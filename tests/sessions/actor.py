"""What the application of one tenant does, and should not do, in random order; and what it has to see all the while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from sqlalchemy import delete, exists, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import aliased

from dbschema.loading import BadRows, bulk_load
from dbschema.models import Incident, Tenant
from dbschema.queries import incidents
from dbschema.sessions.errors import ForeignTenant, TransactionControl

if TYPE_CHECKING:
    from dbschema.sessions import TenantSession

TENANTS = [uuid4() for _ in range(8)]
TABLE = Incident.__table__
SHARED_IDS = [uuid4(), uuid4()]
Rows = dict[UUID, str]


class Actor:
    """What one tenant's application does, and what its rows should be by then.

    Each tenant begins with rows of the same ids, so that there is something to take one for another from the first step on.
    """

    def __init__(self, number: int) -> None:
        self.tenant_id = TENANTS[number]
        self.other = TENANTS[number - 1]
        self.serial = 0
        self.committed: Rows = {row: self.title() for row in SHARED_IDS}
        self.rows: Rows = dict(self.committed)
        self.savepoints: list[Rows] = []

    def title(self) -> str:
        self.serial += 1
        return f"{self.tenant_id} {self.serial}"

    def values(self) -> dict[str, str]:
        return {"domain_id": "roads", "title": self.title()}

    def pick(self, number: int) -> UUID | None:
        """One of the rows, or None where there is none."""
        return sorted(self.rows)[number % len(self.rows)] if self.rows else None

    def step(self, session: TenantSession, name: str, number: int) -> None:
        """Do one thing, and look around."""
        getattr(self, name)(session, number)
        self.look(session)

    def look(self, session: TenantSession) -> None:
        table = session.execute(select(TABLE.c.tenant_id, TABLE.c.id, TABLE.c.title)).all()
        assert {(tenant, row): title for tenant, row, title in table} == {
            (self.tenant_id, row): title for row, title in self.rows.items()
        }

    # What an application does.

    def add(self, session: TenantSession, number: int) -> None:
        incident = Incident(**self.values())
        session.add(incident)
        session.flush()
        self.rows[incident.id] = incident.title

    def insert_rows(self, session: TenantSession, number: int) -> None:
        found = session.scalars(
            insert(Incident).returning(Incident), [self.values() for _ in range(1 + number % 3)]
        )
        self.rows |= {incident.id: incident.title for incident in found}

    def insert_core(self, session: TenantSession, number: int) -> None:
        row = {"tenant_id": self.tenant_id, "id": uuid4(), **self.values()}
        session.execute(insert(TABLE).values(row))
        self.rows[row["id"]] = row["title"]  # type: ignore[index]  # as built above

    def copy_rows(self, session: TenantSession, number: int) -> None:
        """What is written is what a SELECT sees."""
        title = self.title()
        copies = select(TABLE.c.tenant_id, func.gen_random_uuid(), TABLE.c.domain_id, literal(title))
        made = insert(TABLE).from_select(["tenant_id", "id", "domain_id", "title"], copies.limit(5))
        found = session.scalars(made.returning(TABLE.c.id)).all()
        assert len(found) == min(len(self.rows), 5)
        self.rows |= dict.fromkeys(found, title)

    def bulk_load(self, session: TenantSession, number: int) -> None:
        rows = [{"id": uuid4(), **self.values()} for _ in range(1 + number)]
        assert bulk_load(session, Incident, rows).count == len(rows)
        self.rows |= {row["id"]: row["title"] for row in rows}  # type: ignore[index]  # as built above

    def bulk_upsert(self, session: TenantSession, number: int) -> None:
        rows: list[dict[str, Any]] = [{"id": row, **self.values()} for row in sorted(self.rows)[: 1 + number]]
        rows.append({"id": uuid4(), **self.values()})
        bulk_load(session, Incident, rows, on_conflict="update", key=["id"])
        self.rows |= {row["id"]: row["title"] for row in rows}

    def update_object(self, session: TenantSession, number: int) -> None:
        if (row := self.pick(number)) is not None:
            session.get_one(Incident, row).title = self.rows[row] = self.title()
            session.flush()

    def update_all(self, session: TenantSession, number: int) -> None:
        title = self.title()
        assert session.execute(update(Incident).values(title=title)).rowcount == len(self.rows)
        self.rows = dict.fromkeys(self.rows, title)

    def update_core(self, session: TenantSession, number: int) -> None:
        title = self.title()
        assert session.execute(update(TABLE).values(title=title)).rowcount == len(self.rows)
        session.expire_all()
        self.rows = dict.fromkeys(self.rows, title)

    def delete_object(self, session: TenantSession, number: int) -> None:
        if (row := self.pick(number)) is not None:
            session.delete(session.get_one(Incident, row))
            session.flush()
            del self.rows[row]

    def delete_some(self, session: TenantSession, number: int) -> None:
        if (row := self.pick(number)) is not None:
            assert session.execute(delete(Incident).where(Incident.id <= row)).rowcount >= 1
            self.rows = {key: title for key, title in self.rows.items() if key > row}

    def delete_core(self, session: TenantSession, number: int) -> None:
        if number % 5 == 0:
            assert session.execute(delete(TABLE)).rowcount == len(self.rows)
            session.expire_all()
            self.rows = {}

    def read(self, session: TenantSession, number: int) -> None:
        found = session.scalars(select(Incident)).all()
        assert {incident.tenant_id for incident in found} <= {self.tenant_id}
        assert session.scalar(select(func.count()).select_from(Incident)) == len(self.rows)
        assert session.scalar(text("SELECT count(*) FROM incidents")) == len(self.rows)
        assert session.scalars(select(Tenant.id)).all() == [self.tenant_id]
        for incident in found[:1]:
            session.refresh(incident)
            assert incident.title == self.rows[incident.id]

    def search(self, session: TenantSession, number: int) -> None:
        """By a function that row-level security does not bind, and that states the tenant itself."""
        found = session.scalars(incidents.by_data({}, limit=1000)).all()
        assert {incident.id for incident in found} <= set(self.rows)
        assert len(found) == min(len(self.rows), 1000)
        assert set(session.scalars(text("SELECT tenant_id FROM search_incidents_by_data('{}')"))) <= {
            self.tenant_id
        }

    def savepoint(self, session: TenantSession, number: int) -> None:
        if len(self.savepoints) < 3:
            session.begin_nested()
            self.savepoints.append(dict(self.rows))

    def release(self, session: TenantSession, number: int) -> None:
        if self.savepoints:
            session.get_nested_transaction().commit()  # type: ignore[union-attr]  # there is one
            self.savepoints.pop()

    def back(self, session: TenantSession, number: int) -> None:
        if self.savepoints:
            session.get_nested_transaction().rollback()  # type: ignore[union-attr]  # there is one
            self.rows = self.savepoints.pop()

    def commit(self, session: TenantSession, number: int) -> None:
        session.commit()
        self.savepoints.clear()
        self.committed = dict(self.rows)

    def rollback(self, session: TenantSession, number: int) -> None:
        session.rollback()
        self.forget()

    def close(self, session: TenantSession, number: int) -> None:
        """The session can be used again: with another connection, perhaps."""
        session.close()
        self.forget()

    def fail(self, session: TenantSession, number: int) -> None:
        with pytest.raises(DBAPIError):
            session.execute(text("SELECT 1 / 0"))
        session.rollback()
        self.forget()

    def forget(self) -> None:
        self.savepoints.clear()
        self.rows = dict(self.committed)

    # What it should not.

    def read_the_others(self, session: TenantSession, number: int) -> None:
        assert session.execute(select(Incident.id).where(Incident.tenant_id == self.other)).all() == []
        assert session.execute(select(TABLE.c.id).where(TABLE.c.tenant_id != self.tenant_id)).all() == []
        assert session.get(Tenant, self.other) is None
        assert session.get(Incident, (self.other, SHARED_IDS[0])) is None
        assert session.scalar(select(exists().where(TABLE.c.tenant_id == self.other))) is False
        also = aliased(Incident)
        assert session.scalar(select(func.count()).join_from(Incident, also, Incident.id == also.id)) == len(
            self.rows
        )
        assert (
            session.execute(update(TABLE).where(TABLE.c.tenant_id == self.other).values(title="x")).rowcount
            == 0
        )
        assert session.execute(delete(Incident).where(Incident.tenant_id == self.other)).rowcount == 0

    def write_to_the_others(self, session: TenantSession, number: int) -> None:
        with pytest.raises(ForeignTenant):
            session.add(Incident(tenant_id=self.other, **self.values()))
        with pytest.raises(ForeignTenant):
            session.execute(insert(Incident), [{"tenant_id": self.other, **self.values()}])
        with pytest.raises(DBAPIError, match="row-level security"), session.begin_nested():
            session.execute(insert(TABLE).values(tenant_id=self.other, **self.values()))

    def bulk_load_for_the_others(self, session: TenantSession, number: int) -> None:
        """None of the rows, also not those that are right."""
        with pytest.raises(BadRows, match="tenant_id"):
            bulk_load(session, Incident, [self.values(), {"tenant_id": self.other, **self.values()}])

    def give_away(self, session: TenantSession, number: int) -> None:
        if (row := self.pick(number)) is None:
            return
        incident = session.get_one(Incident, row)
        incident.tenant_id = self.other
        with pytest.raises(ForeignTenant, match="was changed from"):
            session.flush()
        session.expire(incident)
        with pytest.raises(DBAPIError, match="row-level security"), session.begin_nested():
            session.execute(update(TABLE).values(tenant_id=self.other))

    def step_out(self, session: TenantSession, number: int) -> None:
        with pytest.raises(TransactionControl):
            session.execute(text("RESET ROLE"))
        session.connection().exec_driver_sql(
            ("RESET ROLE", "COMMIT")[number % 2] if not self.dirty else "RESET ROLE"
        )
        with pytest.raises(DBAPIError, match="permission denied"):
            session.execute(text("SELECT count(*) FROM incidents"))
        session.rollback()
        self.forget()

    @property
    def dirty(self) -> bool:
        """Whether something would be committed."""
        return self.rows != self.committed or bool(self.savepoints)


STEPS = [
    name
    for name, member in vars(Actor).items()
    if callable(member)
    and not name.startswith("_")
    and name not in {"title", "values", "pick", "step", "look", "forget"}
]

Step = tuple[str, int]
Script = list[Step]
step: st.SearchStrategy[Step] = st.tuples(st.sampled_from(STEPS), st.integers(0, 10))
script: st.SearchStrategy[Script] = st.lists(step, min_size=2, max_size=8)
