"""Exported, imported elsewhere and exported again, a tenant is the same, byte for byte."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, MetaData, Table, insert, text

from dbschema.orm.geography import GeoPoint
from dbschema.tools.tenants import (
    count_rows,
    export_tenant,
    find_tenant,
    import_tenant,
    list_tenants,
    remove_tenant,
)
from dbschema.tools.tenants.folder import MANIFEST, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLUGS = ("azulejo-lane", "lantern-and-oar", "tidewater-pantry")
MANY = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["superuser", "member", "heirless", "application", "owner"])
def test_the_sample_tenants_are_the_same_elsewhere(
    a_database: Callable[..., Engine],
    acting_as: Callable[[Engine, str], Engine],
    rows_of: Callable[..., dict[str, list[str]]],
    tmp_path: Path,
    kind: str,
) -> None:
    """Also by roles that row-level security binds, and beside tenants that are there."""
    admins = a_database(sample=True), a_database()
    here, there = admins if kind == "superuser" else (acting_as(admin, kind) for admin in admins)
    tenants = [find_tenant(admins[0], slug).id for slug in SLUGS]

    for number, tenant in enumerate(tenants):
        exported = export_tenant(here, tenant, tmp_path / f"{number}")
        imported = import_tenant(there, tmp_path / f"{number}")
        assert exported == imported
    again = [export_tenant(there, tenant, tmp_path / f"again-{n}") for n, tenant in enumerate(tenants)]

    for number in range(len(tenants)):
        assert contents(tmp_path / f"{number}") == contents(tmp_path / f"again-{number}")
    assert {table for one in again for table, rows in one.counts.items() if rows} == set(again[0].counts)
    without_xmin = [
        {table: sorted(row.partition(" ")[2] for row in rows) for table, rows in rows_of(admin).items()}
        for admin in admins
    ]
    assert without_xmin[0] == without_xmin[1]


def test_an_export_leaves_no_trace_and_its_counts_are_those_of_the_rows(
    a_database: Callable[..., Engine], rows_of: Callable[..., dict[str, list[str]]], tmp_path: Path
) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, SLUGS[0]).id
    before = rows_of(engine)

    manifest = export_tenant(engine, tenant, tmp_path / "export")

    assert rows_of(engine) == before
    assert manifest.counts == count_rows(engine, tenant)
    assert manifest == parse((tmp_path / "export" / MANIFEST).read_text(encoding="utf-8"), "it")
    assert (tmp_path / "export").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_removed_tenant_comes_back_as_it_was(
    a_database: Callable[..., Engine], rows_of: Callable[..., dict[str, list[str]]], tmp_path: Path
) -> None:
    engine = a_database(sample=True)
    tenant = find_tenant(engine, SLUGS[1]).id
    before = {table: sorted(row.partition(" ")[2] for row in rows) for table, rows in rows_of(engine).items()}
    export_tenant(engine, tenant, tmp_path / "export")
    remove_tenant(engine, tenant)

    import_tenant(engine, tmp_path / "export")

    after = {table: sorted(row.partition(" ")[2] for row in rows) for table, rows in rows_of(engine).items()}
    assert after == before
    assert sorted(one.slug for one in list_tenants(engine)) == sorted(SLUGS)


TEXT = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12) | (
    st.sampled_from(["\\N", "\\.", "\t\n\r\b\f\v\\", "\\\\.", "\n\\.\n", '"', "{}", "NULL", "\ufeff"])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
_FIRST, _LAST = (datetime(year, 12, 30, tzinfo=UTC).replace(tzinfo=None) for year in (1, 9999))
MOMENT = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))
THING = st.fixed_dictionaries(
    {
        "words": st.none() | TEXT,
        "price": st.none() | st.decimals(-(10**9), 10**9, places=2),
        "seen_at": st.none() | MOMENT,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "version": st.integers(1, 2**31 - 1),
        "lasts": st.none() | st.timedeltas(timedelta(-9999), timedelta(9999)),
        "weight": st.none() | st.floats(allow_nan=True, allow_infinity=True),
        "address": st.none()
        | st.ip_addresses().map(str)
        | st.sampled_from(["10.0.0.0/8", "::ffff:1.2.3.4/120"]),
        "extra": JSON,
        "picture": st.none() | st.binary(max_size=20),
        "sizes": st.none() | st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        "names": st.none() | st.lists(TEXT, max_size=3),
        "place": st.none() | st.builds(GeoPoint, st.floats(-180, 180), st.floats(-90, 90)),
    }
)


def numbered() -> Any:
    counter = itertools.count()
    return lambda: f"t{next(counter)}"


def fill(engine: Engine, own: MetaData, slug: str, things: list[dict[str, Any]], nodes: list[int]) -> UUID:
    """A tenant with these things; a tree in which each node hangs on the one it names; a chicken and its egg."""
    tenant, other = uuid4(), uuid4()
    ids = [uuid4() for _ in nodes]
    chicken, egg, device = uuid4(), uuid4(), uuid4()
    with engine.begin() as connection:
        for key, name in ((tenant, slug), (other, f"{slug}-other")):
            connection.execute(insert(own.tables["tenants"]).values(id=key, tenant_name=name, slug=name))
        if things:
            connection.execute(
                insert(own.tables["things"]), [{"tenant_id": tenant, "id": uuid4(), **row} for row in things]
            )
            connection.execute(
                insert(own.tables["things"]), [{"tenant_id": other, "id": uuid4(), **row} for row in things]
            )
        rows = [
            {"tenant_id": tenant, "id": key, "parent_id": ids[parent % len(ids)]}
            for key, parent in zip(ids, nodes, strict=True)
        ]
        if rows:
            connection.execute(insert(own.tables["nodes"]).values(rows))
        connection.execute(
            text(
                f"WITH c AS (INSERT INTO chickens (tenant_id, id, egg_id) VALUES ('{tenant}', '{chicken}', '{egg}'))"
                f" INSERT INTO eggs (tenant_id, id, chicken_id) VALUES ('{tenant}', '{egg}', '{chicken}')"
            )
        )
        devices: Table = own.tables["devices"]
        connection.execute(insert(devices).values(tenant_id=tenant, id=device, label="a"))
        connection.execute(
            insert(own.tables["readings"]).values(tenant_id=tenant, id=uuid4(), device_id=device, value=1.5)
        )
    return tenant


def test_any_rows_of_an_applications_own_tables_are_the_same_elsewhere(
    a_database: Callable[..., Engine], own: MetaData, tmp_path: Path
) -> None:
    here, there = a_database(own=True), a_database(own=True)
    name = numbered()

    @MANY
    @given(st.lists(THING, max_size=4), st.lists(st.integers(0, 9), max_size=6))
    def check(things: list[dict[str, Any]], nodes: list[int]) -> None:
        slug = name()
        tenant = fill(here, own, slug, things, nodes)

        exported = export_tenant(here, tenant, tmp_path / slug, metadata=own)
        import_tenant(there, tmp_path / slug, metadata=own)
        export_tenant(there, tenant, tmp_path / f"{slug}-again", metadata=own)

        assert contents(tmp_path / slug) == contents(tmp_path / f"{slug}-again")
        assert exported.counts == count_rows(there, tenant, metadata=own)
        assert (exported.counts["things"], exported.counts["nodes"]) == (len(things), len(nodes))
        assert exported.counts["devices"] == exported.counts["audit_logs"] == 1
        with here.connect() as one, there.connect() as two:
            query = text(f"SELECT search::text FROM things WHERE tenant_id = '{tenant}' ORDER BY id")
            assert one.execute(query).all() == two.execute(query).all()

    check()


def test_values_stay_what_they_are(a_database: Callable[..., Engine], own: MetaData, tmp_path: Path) -> None:
    """Under whatever settings the two servers have."""
    here, there = a_database(own=True), a_database(own=True)
    thing = {
        "words": "a\\N\tb\n\\.\n☕",
        "price": Decimal("0.10"),
        "seen_at": datetime(2026, 3, 29, 1, 30, 0, 123456, UTC),
        "lasts": timedelta(days=-3, microseconds=1),
        "weight": 0.1 + 0.2,
        "address": "10.0.0.0/8",
        "extra": {"n": 1.0, "deep": [None, "\\"]},
        "picture": b"\x00\xff\\",
        "place": GeoPoint(7.447, 46.948),
    }
    tenant = fill(here, own, "exact", [thing], [])
    with here.begin() as connection:
        for setting in ("timezone = 'Asia/Kathmandu'", "datestyle = 'SQL, DMY'", "extra_float_digits = 0",
                        "intervalstyle = 'sql_standard'", "bytea_output = 'escape'"):  # fmt: skip
            connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET {setting}"))

    export_tenant(here, tenant, tmp_path / "export", metadata=own)
    import_tenant(there, tmp_path / "export", metadata=own)

    line = next((tmp_path / "export").glob("*_things.copy")).read_text(encoding="utf-8")
    assert "2026-03-29 01:30:00.123456+00" in line
    assert "0101000020E6100000" in line  # EWKB, with the reference system
    with here.connect() as one, there.connect() as two:
        for connection in (one, two):
            connection.execute(
                text(
                    "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3"
                )
            )
        query = text(f"SELECT * FROM things WHERE tenant_id = '{tenant}'")
        assert one.execute(query).all() == two.execute(query).all()


def test_the_rows_are_those_of_one_moment(a_database: Callable[..., Engine], tmp_path: Path) -> None:
    """What is committed while the export runs is not in it."""
    engine = a_database(sample=True)
    tenant = find_tenant(engine, SLUGS[0]).id
    before = count_rows(engine, tenant)
    seen = []

    def write(progress: Any) -> None:
        seen.append(progress.table)
        if progress.table == "tenants":
            with engine.begin() as connection:
                connection.execute(
                    text(
                        f"INSERT INTO users (tenant_id, username, email) VALUES ('{tenant}', 'late', 'late@b.c')"
                    )
                )

    manifest = export_tenant(engine, tenant, tmp_path / "export", on_progress=write)

    assert manifest.counts == before
    assert count_rows(engine, tenant)["users"] == before["users"] + 1
    assert set(seen) == set(before)
    assert json.loads((tmp_path / "export" / MANIFEST).read_text(encoding="utf-8"))["version"] == 1
