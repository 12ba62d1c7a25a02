"""A removed tenant leaves nothing, and takes nothing that is not its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, MetaData, insert, text

from dbschema import export_tenant, remove_tenant
from dbschema.errors import NoSuchTenant, TenantsHidden
from dbschema.sessions.errors import BadIdentity
from dbschema.tools.tenants import count_rows, find_tenant, list_tenants
from dbschema.tools.tenants.errors import StillWritten, TenantsError, UndeclaredTables
from dbschema.tools.tenants.scope import scope_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Rows = dict[str, list[str]]


@pytest.mark.parametrize("kind", ["superuser", "member", "heirless", "application", "owner"])
def test_every_row_of_the_tenant_goes_and_no_other_is_touched(
    a_database: Callable[..., Engine],
    acting_as: Callable[[Engine, str], Engine],
    rows_of: Callable[..., Rows],
    kind: str,
) -> None:
    """Not even rewritten: the transaction that wrote each of the others' rows is the same."""
    admin = a_database(sample=True)
    tenant = find_tenant(admin, "tidewater-pantry").id
    engine = admin if kind == "superuser" else acting_as(admin, kind)
    before, counted = rows_of(admin, but=tenant), count_rows(admin, tenant)

    removed = remove_tenant(engine, tenant, batch=7)

    assert rows_of(admin) == before
    assert removed.counts == counted
    assert all(removed.counts.values())
    assert (removed.tenant_id, removed.slug) == (tenant, "tidewater-pantry")
    assert list(removed.counts)[-1] == "tenants"


def test_rows_go_in_batches_of_transactions_of_their_own(a_database: Callable[..., Engine]) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    counted = count_rows(engine, tenant)
    told: list[tuple[str, int, int | None]] = []
    standing = []

    def tell(progress: Any) -> None:
        told.append((progress.table, progress.rows, progress.total))
        if progress.table == "incidents":
            with engine.connect() as other:
                standing.append(
                    other.execute(
                        text(f"SELECT count(*) FROM incidents WHERE tenant_id = '{tenant}'")
                    ).scalar_one()
                )

    remove_tenant(engine, tenant, batch=10, on_progress=tell)

    steps = [rows for table, rows, _ in told if table == "incidents"]
    assert steps[:2] == [10, 20]
    assert standing[:2] == [counted["incidents"] - 10, counted["incidents"] - 20]
    assert all(total == counted[table] for table, _, total in told)
    assert told[-1] == ("tenants", 1, 1)


def test_a_removal_that_was_killed_goes_on_where_it_was(
    a_database: Callable[..., Engine], rows_of: Callable[..., Rows]
) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    before, counted = rows_of(engine, but=tenant), count_rows(engine, tenant)
    program = (
        "import os, signal, sys, uuid\n"
        "from sqlalchemy import create_engine\n"
        "from dbschema import remove_tenant\n"
        "def die(progress):\n"
        "    if (progress.table, progress.rows) == ('incidents', 20): os.kill(os.getpid(), signal.SIGKILL)\n"
        "remove_tenant(create_engine(sys.argv[1]), uuid.UUID(sys.argv[2]), batch=10, on_progress=die)\n"
    )
    url = engine.url.render_as_string(hide_password=False)

    killed = subprocess.run([sys.executable, "-c", program, url, str(tenant)], check=False)
    suspended, left = find_tenant(engine, tenant).status, count_rows(engine, tenant)
    removed = remove_tenant(engine, tenant)

    assert killed.returncode == -signal.SIGKILL
    assert suspended == "suspended"
    assert left["incidents"] == counted["incidents"] - 20
    assert left["audit_logs"] == counted["audit_logs"]
    assert removed.counts == left
    assert rows_of(engine) == before


@pytest.fixture
def populated(a_database: Callable[..., Engine], own: MetaData) -> tuple[Engine, UUID, UUID]:
    """A database with two tenants that have rows in all of an application's tables, our audit rows among them."""
    engine = a_database(own=True)
    tenants = (uuid4(), uuid4())
    with engine.begin() as connection:
        for tenant in tenants:
            connection.execute(
                insert(own.tables["tenants"]).values(id=tenant, tenant_name="x", slug=f"t-{tenant}")
            )
            nodes = [uuid4() for _ in range(40)]
            connection.execute(
                insert(own.tables["nodes"]).values(
                    [
                        {
                            "tenant_id": tenant,
                            "id": node,
                            # A tree, and at its end two that hang on each other.
                            "parent_id": None
                            if number == 0
                            else nodes[39 if number == 38 else (number - 1) // 2],
                        }
                        for number, node in enumerate(nodes[:39])
                    ]
                    + [{"tenant_id": tenant, "id": nodes[39], "parent_id": nodes[38]}]
                )
            )
            connection.execute(
                text(
                    f"WITH c AS (INSERT INTO chickens (tenant_id, id, egg_id) VALUES ('{tenant}', '{tenant}', '{tenant}'))"
                    f" INSERT INTO eggs (tenant_id, id, chicken_id) VALUES ('{tenant}', '{tenant}', '{tenant}')"
                )
            )
            for _ in range(5):
                device = uuid4()
                connection.execute(
                    insert(own.tables["devices"]).values(tenant_id=tenant, id=device, label="a")
                )
                connection.execute(
                    insert(own.tables["readings"]).values(
                        tenant_id=tenant, id=uuid4(), device_id=device, value=1
                    )
                )
            connection.execute(insert(own.tables["things"]).values(tenant_id=tenant, id=uuid4()))
    return engine, *tenants


@pytest.mark.parametrize("kind", ["superuser", "member", "heirless", "owner"])
def test_an_applications_own_tables_are_emptied_too(
    populated: tuple[Engine, UUID, UUID],
    acting_as: Callable[[Engine, str], Engine],
    rows_of: Callable[..., Rows],
    own: MetaData,
    kind: str,
) -> None:
    """Trees, circles, what is append-only with what it points to, and what is recorded, whoever removes it."""
    admin, tenant, other = populated
    engine = admin if kind == "superuser" else acting_as(admin, kind)
    before, counted = rows_of(admin, own, but=tenant), count_rows(admin, tenant, metadata=own)

    removed = remove_tenant(engine, tenant, metadata=own, batch=4)

    assert rows_of(admin, own) == before
    assert removed.counts == counted
    assert (counted["nodes"], counted["chickens"], counted["devices"], counted["audit_logs"]) == (40, 1, 5, 5)
    assert [one.id for one in list_tenants(admin)] == [other]


def test_a_tenant_that_is_not_there_is_told(a_database: Callable[..., Engine]) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    remove_tenant(engine, tenant)

    with pytest.raises(NoSuchTenant, match=str(tenant)):
        remove_tenant(engine, tenant)


def test_a_batch_without_rows_is_a_wrong_call(a_database: Callable[..., Engine]) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        remove_tenant(a_database(), uuid4(), batch=0)


def test_rows_that_somebody_holds_are_waited_for_within_bounds(
    a_database: Callable[..., Engine], rows_of: Callable[..., Rows]
) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    before = rows_of(engine, but=tenant)

    with engine.begin() as holder:
        holder.execute(text(f"UPDATE orders SET status = status WHERE tenant_id = '{tenant}'"))
        with pytest.raises(StillWritten, match="lock timeout"):
            remove_tenant(engine, tenant, lock_timeout=0.05, patience=0.2)
    remove_tenant(engine, tenant)

    assert rows_of(engine) == before


def test_rows_that_come_meanwhile_go_too(
    a_database: Callable[..., Engine], rows_of: Callable[..., Rows]
) -> None:
    """Into a table that was emptied already, pointing to rows that are about to go."""
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    before, counted = rows_of(engine, but=tenant), count_rows(engine, tenant)
    written = []

    def write(progress: Any) -> None:
        if progress.table == "image_evidence" and not written:
            with engine.begin() as other:
                written.append(1)
                other.execute(
                    text(
                        "INSERT INTO image_evidence (tenant_id, incident_id, s3_bucket, s3_key, content_type, byte_size)"
                        f" SELECT tenant_id, id, 'b', 'k', 'image/png', 1 FROM incidents WHERE tenant_id = '{tenant}'"
                        " LIMIT 3"
                    )
                )
                other.execute(
                    text(
                        "INSERT INTO user_events (tenant_id, user_id, event_type)"
                        f" SELECT tenant_id, id, 'late' FROM users WHERE tenant_id = '{tenant}' LIMIT 1"
                    )
                )

    removed = remove_tenant(engine, tenant, on_progress=write)

    assert rows_of(engine) == before
    assert removed.total >= sum(counted.values())


def test_new_rows_for_a_tenant_that_is_being_removed_wait_and_fail(a_database: Callable[..., Engine]) -> None:
    """Whoever inserts for it at the last moment gets an error, and no orphan stays."""
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    stop = threading.Event()
    errors: list[str] = []

    def write() -> None:
        while not stop.is_set():
            try:
                with engine.begin() as other:
                    other.execute(
                        text(
                            "INSERT INTO projects (tenant_id, user_id, project_name)"
                            f" SELECT tenant_id, id, 'p' FROM users WHERE tenant_id = '{tenant}' LIMIT 1"
                        )
                    )
            except Exception as error:
                errors.append(type(error).__name__)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        remove_tenant(engine, tenant, batch=20)
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    with engine.connect() as connection:
        assert not connection.scalar(text(f"SELECT count(*) FROM projects WHERE tenant_id = '{tenant}'"))
    assert {one.slug for one in list_tenants(engine)} == {"lantern-and-oar", "tidewater-pantry"}


def test_rows_that_would_outlive_their_tenant_stop_the_removal(
    populated: tuple[Engine, UUID, UUID], own: MetaData
) -> None:
    engine, tenant, _ = populated
    with engine.begin() as connection:
        for key in ("fk_readings_tenant_id", "fk_readings_tenant_id_device_id"):
            connection.execute(text(f"ALTER TABLE readings DROP CONSTRAINT {key}"))

    with pytest.raises(TenantsError, match="would stay in readings"):
        remove_tenant(engine, tenant, metadata=own)

    assert count_rows(engine, tenant, metadata=own)["readings"] == 5


@pytest.mark.parametrize("kind", ["member", "heirless", "application"])
def test_a_role_that_row_security_binds_finds_a_tenant_by_its_id(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine], kind: str
) -> None:
    admin = a_database(sample=True)
    tenant = find_tenant(admin, "azulejo-lane").id
    member = acting_as(admin, kind)

    assert find_tenant(member, tenant).slug == find_tenant(member, str(tenant)).slug == "azulejo-lane"
    with pytest.raises(NoSuchTenant):
        find_tenant(member, "azulejo-lane")
    with pytest.raises(TenantsHidden, match="dbschema_operator"):
        list_tenants(member)


def test_an_operator_lists_all_tenants(
    a_database: Callable[..., Engine], acting_as: Callable[[Engine, str], Engine]
) -> None:
    admin = a_database(sample=True)
    operator = acting_as(admin, "operator")

    found = list_tenants(operator)

    assert [one.id for one in found] == [one.id for one in list_tenants(admin)]
    assert len(found) > 1
    assert find_tenant(operator, "azulejo-lane") is not None


def test_what_is_no_id_is_refused_before_anything_is_asked(
    new_engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    nowhere = new_engine("postgresql+psycopg://nobody@192.0.2.1/nothing")

    for call in (
        lambda: remove_tenant(nowhere, "' OR true --"),
        lambda: count_rows(nowhere, "' OR true --"),
        lambda: export_tenant(nowhere, "' OR true --", tmp_path / "export"),
    ):
        with pytest.raises(BadIdentity, match="is not the id of a tenant"):
            call()


def test_an_id_may_be_text(a_database: Callable[..., Engine]) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, "azulejo-lane").id
    counted = count_rows(engine, tenant)

    assert count_rows(engine, str(tenant)) == counted
    assert remove_tenant(engine, str(tenant)).counts == counted


def test_a_metadata_without_tenants_is_refused() -> None:
    with pytest.raises(UndeclaredTables, match="no table as the table of tenants"):
        scope_of(MetaData())


def test_tables_come_after_those_that_they_point_to(own: MetaData) -> None:
    groups = scope_of(own).groups

    place = {table.name: number for number, group in enumerate(groups) for table in group}
    assert groups[0][0].name == "tenants"
    assert place["chickens"] == place["eggs"]
    assert place["tenants"] < place["users"] < place["audit_logs"]
    assert place["tenants"] < place["devices"] < place["readings"]
