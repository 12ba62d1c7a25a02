"""What an import refuses; and that nothing of what it refuses stays."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import Engine, MetaData, NullPool, create_engine, text

from dbschema import create_tenant
from dbschema.errors import MissingPrivilege, NoSuchTenant, TenantExists
from dbschema.models import metadata as models
from dbschema.tools.tenants import export_tenant, import_tenant, remove_tenant
from dbschema.tools.tenants.errors import BadExport, OtherSchema, TenantsError, UndeclaredTables
from dbschema.tools.tenants.folder import MANIFEST, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_postgresql.executors import NoopExecutor


Rows = dict[str, list[str]]


Standing = tuple[Engine, UUID, Path]


def stand(engine: Engine, folder: Path) -> Standing:
    """Two tenants, one of which is exported and removed."""
    with engine.begin() as connection:
        create_tenant(connection, "Neighbour", "neighbour")
        tenant = create_tenant(connection, "Corner Bakery", "corner-bakery").id
    export_tenant(engine, tenant, folder)
    remove_tenant(engine, tenant)
    return engine, tenant, folder


@pytest.fixture(scope="module")
def standing(
    server: Any, migrated: NoopExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    """One database for all tests that leave it as it was, as they say themselves."""
    janitor = DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=f"import_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}",
        template_dbname=migrated.template_dbname,
    )
    with janitor:
        engine = create_engine(server.url(janitor.dbname), poolclass=NullPool)
        yield stand(engine, tmp_path_factory.mktemp("exports") / "export")
        engine.dispose()


@pytest.fixture
def engine(standing: Standing, rows_of: Callable[..., Rows]) -> Iterator[Engine]:
    before = rows_of(standing[0])
    yield standing[0]
    assert rows_of(standing[0]) == before


@pytest.fixture
def tenant(standing: Standing) -> UUID:
    """The tenant that was exported."""
    return standing[1]


@pytest.fixture
def export(standing: Standing, tmp_path: Path) -> Path:
    """A copy of its export, to be spoilt."""
    shutil.copytree(standing[2], tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def alone(a_database: Callable[..., Engine], tmp_path: Path) -> Standing:
    """The same in a database of the test's own, which it may change."""
    return stand(a_database(), tmp_path / "export")


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Change a file of an export as somebody who also puts its hash right."""
    path = next(folder.glob(f"*_{file}.copy"))
    data = path.read_bytes().replace(old.encode(), new.encode())
    path.write_bytes(data)
    restate(folder, file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), rows=data.count(b"\n"))


def restate(folder: Path, table: str, **values: Any) -> None:
    """Change what the manifest says of a table."""
    manifest = json.loads((folder / MANIFEST).read_text())
    next(one for one in manifest["tables"] if one["table"] == table).update(values)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_changed_file_is_refused(engine: Engine, export: Path, rows_of: Callable[..., Rows]) -> None:
    before = rows_of(engine)
    path = next(export.glob("*_agent_definitions.copy"))
    path.write_bytes(path.read_bytes().replace(b"dispatcher", b"dispatchem"))

    with pytest.raises(BadExport, match=r"agent_definitions\.copy: it is not what was exported: its SHA-256"):
        import_tenant(engine, export)

    assert rows_of(engine) == before


@pytest.mark.parametrize("damage", ["longer", "shorter", "missing", "link", "pipe", "folder"])
def test_a_file_that_is_not_the_exported_one_is_refused(engine: Engine, export: Path, damage: str) -> None:
    path = next(export.glob("*_agent_definitions.copy"))
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "longer":
            path.write_bytes(data + b"x")
        case "shorter":
            path.write_bytes(data[:-1])
        case "link":
            shutil.copy(export / MANIFEST, export / "elsewhere")
            (export / "elsewhere").write_bytes(data)
            path.symlink_to(export / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()

    with pytest.raises(BadExport):
        import_tenant(engine, export)


def test_rows_of_another_tenant_are_refused_whoever_imports(
    engine: Engine,
    tenant: UUID,
    export: Path,
    acting_as: Callable[[Engine, str], Engine],
    rows_of: Callable[..., Rows],
) -> None:
    """Also by a superuser, whom no row-level security stops."""
    with engine.connect() as connection:
        neighbour = connection.scalar(text("SELECT id FROM tenants"))
    before = rows_of(engine)
    change(export, "domain_configurations", str(tenant), str(neighbour))

    for role in (engine, acting_as(engine, "member"), acting_as(engine, "owner")):
        with pytest.raises(BadExport, match=f"1 of them belong to another tenant than {tenant}"):
            import_tenant(role, export)

    assert rows_of(engine) == before


def test_another_tenants_own_row_is_refused(engine: Engine, tenant: UUID, export: Path) -> None:
    change(export, "tenants", str(tenant), str(uuid4()))

    with pytest.raises(BadExport, match="another tenant"):
        import_tenant(engine, export)


def test_an_export_without_a_tenant_is_refused(engine: Engine, export: Path) -> None:
    data = next(export.glob("*_tenants.copy")).read_text()
    change(export, "tenants", data, "")

    with pytest.raises(BadExport, match="does not hold one tenant"):
        import_tenant(engine, export)


@pytest.mark.parametrize("what", ["id", "slug"])
@pytest.mark.parametrize("kind", ["superuser", "member", "heirless"])
def test_a_tenant_that_is_there_is_never_overwritten(
    alone: Standing,
    acting_as: Callable[[Engine, str], Engine],
    rows_of: Callable[..., Rows],
    what: str,
    kind: str,
) -> None:
    engine, tenant, export = alone
    role = engine if kind == "superuser" else acting_as(engine, kind)
    with engine.begin() as connection:
        slug = "corner-bakery" if what == "slug" else "renamed"
        create_tenant(connection, "Another", slug, tenant_id=tenant if what == "id" else None)
    before = rows_of(engine)

    with pytest.raises(TenantExists, match=f"with the {what} "):
        import_tenant(role, export)

    assert rows_of(engine) == before


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("street_incidents", "street\\xzz\tincidents", "extra data after last expected column"),
        ("street_incidents\t", "", "invalid input syntax for type uuid"),
        ("street_incidents", "\\N", "null value"),
        ("T", "never", "."),
    ],
)
def test_rows_that_postgresql_cannot_read_are_refused_with_their_line(  # noqa: PLR0917  fixtures and parameters
    engine: Engine, export: Path, rows_of: Callable[..., Rows], old: str, new: str, reason: str
) -> None:
    before = rows_of(engine)
    change(export, "domain_configurations", old, new)
    if old == "T":
        restate(export, "domain_configurations", columns=[["tenant_id", "uuid"]])

    with pytest.raises((BadExport, OtherSchema), match=reason):
        import_tenant(engine, export)

    assert rows_of(engine) == before


def test_rows_that_contradict_each_other_are_refused(
    engine: Engine, export: Path, rows_of: Callable[..., Rows]
) -> None:
    before = rows_of(engine)
    data = next(export.glob("*_role_metric_visibility.copy")).read_text()
    change(export, "role_metric_visibility", data, data + data.splitlines(keepends=True)[0])

    with pytest.raises(BadExport, match=r"role_metric_visibility.*duplicate key"):
        import_tenant(engine, export)

    assert rows_of(engine) == before


@pytest.mark.parametrize("rows", [10**18, 0])
def test_a_number_of_rows_that_is_not_there_is_refused(engine: Engine, export: Path, rows: int) -> None:
    restate(export, "agent_definitions", rows=rows)

    with pytest.raises(BadExport, match=f"7 rows, and the manifest says {rows:,}"):
        import_tenant(engine, export)


def test_data_behind_the_end_mark_of_copy_are_noticed(engine: Engine, export: Path) -> None:
    data = next(export.glob("*_agent_definitions.copy")).read_text()
    first, rest = data.split("\n", 1)
    change(export, "agent_definitions", data, f"{first}\n\\.\n{rest}")

    with pytest.raises(BadExport, match="it has 1 rows"):
        import_tenant(engine, export)


@pytest.mark.parametrize(
    "name", ["../x.copy", "/etc/passwd", "a/b.copy", "001_x.copy\n", "001_x", "..", "", "001_\u00e9.copy"]
)
def test_a_file_name_that_leads_elsewhere_is_refused(engine: Engine, export: Path, name: str) -> None:
    restate(export, "agent_definitions", file=name)

    with pytest.raises(BadExport, match="no name of a file"):
        import_tenant(engine, export)


def test_another_revision_is_refused(alone: Standing) -> None:
    engine, _, export = alone
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'other'"))

    with pytest.raises(OtherSchema, match="and the database is at other"):
        import_tenant(engine, export)


def test_other_columns_are_refused_by_their_names(alone: Standing) -> None:
    engine, _, export = alone
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE projects ADD COLUMN extra int"))

    with pytest.raises(OtherSchema, match="projects has other columns than the exported one: extra"):
        import_tenant(engine, export)


def test_other_tables_are_refused_by_their_names(
    a_database: Callable[..., Engine], export: Path, own: MetaData
) -> None:
    with pytest.raises(OtherSchema, match="do not have the same tables: chickens, devices, eggs"):
        import_tenant(a_database(own=True), export, metadata=own)


def test_tables_that_nobody_declares_are_told_of_before_their_rows_are_lost(
    a_database: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = a_database(own=True)
    with engine.begin() as connection:
        tenant = create_tenant(connection, "Corner Bakery", "corner-bakery").id

    for act in (
        lambda: export_tenant(engine, tenant, tmp_path / "export"),
        lambda: remove_tenant(engine, tenant),
    ):
        with pytest.raises(UndeclaredTables, match="chickens, devices, eggs, nodes, readings, things"):
            act()
    assert list(tmp_path.iterdir()) == []


def test_an_import_that_would_be_recorded_is_refused(
    a_database: Callable[..., Engine],
    acting_as: Callable[[Engine, str], Engine],
    own: MetaData,
    tmp_path: Path,
) -> None:
    engine = a_database(own=True)
    with engine.begin() as connection:
        tenant = create_tenant(connection, "Corner Bakery", "corner-bakery").id
    export_tenant(engine, tenant, tmp_path / "export", metadata=own)
    remove_tenant(engine, tenant, metadata=own)

    with pytest.raises(MissingPrivilege, match="does not own devices"):
        import_tenant(acting_as(engine, "member"), tmp_path / "export", metadata=own)


def test_a_role_that_may_not_read_is_told_what(
    engine: Engine, acting_as: Callable[[Engine, str], Engine], tmp_path: Path
) -> None:
    with engine.connect() as connection:
        neighbour = connection.execute(text("SELECT id FROM tenants")).scalar_one()
    role = acting_as(engine, "member")
    with engine.begin() as connection:
        connection.execute(text(f"REVOKE SELECT ON alembic_version FROM {role.url.username}"))

    with pytest.raises(MissingPrivilege, match="alembic_version: permission denied"):
        export_tenant(role, neighbour, tmp_path / "export")

    assert list(tmp_path.iterdir()) == []


def test_an_export_overwrites_nothing(engine: Engine, tmp_path: Path) -> None:
    with engine.connect() as connection:
        neighbour = connection.execute(text("SELECT id FROM tenants")).scalar_one()
    (tmp_path / "there").mkdir()

    with pytest.raises(TenantsError, match="nothing is overwritten"):
        export_tenant(engine, neighbour, tmp_path / "there")


def test_a_tenant_that_is_not_there_is_not_exported(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NoSuchTenant):
        export_tenant(engine, uuid4(), tmp_path / "export")

    assert list(tmp_path.iterdir()) == []


def test_an_import_that_is_killed_leaves_nothing(alone: Standing, rows_of: Callable[..., Rows]) -> None:
    engine, _, export = alone
    before = rows_of(engine)
    program = (
        "import os, signal, sys\n"
        "from sqlalchemy import create_engine\n"
        "from dbschema import import_tenant\n"
        "def die(progress):\n"
        "    if progress.table == 'role_metric_visibility': os.kill(os.getpid(), signal.SIGKILL)\n"
        "import_tenant(create_engine(sys.argv[1]), sys.argv[2], on_progress=die)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, engine.url.render_as_string(hide_password=False), export], check=False
    )

    assert done.returncode == -signal.SIGKILL
    assert rows_of(engine) == before
    import_tenant(engine, export)


SPOILT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def test_any_manifest_is_read_or_refused(engine: Engine, export: Path, rows_of: Callable[..., Rows]) -> None:
    """Whatever stands where something else should stand: an error of ours, and an unchanged database."""
    whole = json.loads((export / MANIFEST).read_text())
    before = rows_of(engine)
    paths: list[tuple[Any, ...]] = [
        *((key,) for key in whole),
        *(("tenant", key) for key in whole["tenant"]),
        *(("tables", 3, key) for key in whole["tables"][3]),
        ("tables", 3),
        ("tables", 3, "columns", 0),
        ("tables", 3, "columns", 0, 1),
        ("revisions", 0),
    ]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(paths), SPOILT)
    def check(path: tuple[Any, ...], value: Any) -> None:
        manifest = json.loads(json.dumps(whole))
        place = manifest
        for key in path[:-1]:
            place = place[key]
        # A name is only told; anything else that differs is refused.
        if place[path[-1]] == value or path in {("tenant", "name"), ("tenant", "slug")}:
            return
        place[path[-1]] = value
        (export / MANIFEST).write_text(json.dumps(manifest))

        with pytest.raises((TenantsError, TenantExists)):
            import_tenant(engine, export)

    check()
    assert rows_of(engine) == before


@pytest.mark.parametrize(
    "text_", ["", "{", "[]", "[" * 100_000, '{"format": "dbschema tenant", "version": 2}']
)
def test_what_is_no_manifest_is_refused(text_: str) -> None:
    with pytest.raises(BadExport):
        parse(text_, "manifest.json")


def test_the_models_have_one_table_of_tenants() -> None:
    assert [table.name for table in models.sorted_tables if table.info["distribution"] == "reference"] == [
        "tenants"
    ]
