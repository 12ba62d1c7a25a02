"""Define the commands for tenants: tenant create, list, export, import, remove."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from dbschema._progress import progress_bar
from dbschema.errors import CallRejected
from dbschema.tools.application import load_models
from dbschema.tools.cli.options import Json, Models, Url
from dbschema.tools.cli.output import Screen, ask, plural
from dbschema.tools.cli.parser import Argument, Command, Flag, Group, Option, whole_number
from dbschema.tools.cli.place import database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from dbschema.models import Tenant

Name = Annotated[str, Argument("TENANT", "Its slug or its id.")]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID") from None


def create(
    name: Annotated[str, Argument("NAME", "Its display name.")],
    slug: Annotated[str, Argument("SLUG", "Lower case letters, digits and hyphens; unique.")],
    key: Annotated[
        UUID | None,
        Option("--id", "UUID", "Its id, so that the call can be repeated. Default: a new id.", parse=_uuid),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Create a tenant with its reference data.

    JSON: database, tenant (id, slug, name, status, created_at).
    """
    from dbschema.tools import tenants  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    with _engine(url, screen) as (place, engine), engine.begin() as connection:
        made = tenants.create_tenant(connection, name, slug, tenant_id=key)
    screen.line(f"Tenant {made.slug} has the id {made.id}.")
    screen.data({"database": place, "tenant": _data(made)})


def list_(url: Url = None, as_json: Json = False) -> None:
    """Show all tenants. Row-level security must not apply to the role.

    JSON: database, tenants (id, slug, name, status, created_at).
    """
    from dbschema.tools import tenants  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    with _engine(url, screen) as (place, engine):
        found = tenants.list_tenants(engine)
    if found:
        screen.table(
            ("slug", "id", "status", "created", "name"),
            [
                (
                    tenant.slug,
                    str(tenant.id),
                    tenant.status,
                    f"{tenant.created_at:%Y-%m-%d}",
                    tenant.tenant_name,
                )
                for tenant in found
            ],
        )
    else:
        screen.line(f"{place} has no tenants.")
    screen.data({"database": place, "tenants": [_data(tenant) for tenant in found]})


def export(
    name: Name,
    folder: Annotated[Path, Argument("FOLDER", "A folder that does not exist yet.")],
    models: Models = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Write all rows of a tenant, from one snapshot, into a new folder.

    JSON: database, tenant, slug, folder, rows (table, number).
    """
    from dbschema.tools import tenants  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    with _engine(url, screen) as (place, engine):
        found = tenants.find_tenant(engine, name)
        with progress_bar() as on_progress:
            manifest = tenants.export_tenant(
                engine, found.id, folder, metadata=metadata, on_progress=on_progress
            )
    _show_counts(screen, manifest.counts)
    screen.line(
        f"Tenant {found.slug} is exported to {folder}: {plural(sum(manifest.counts.values()), 'row')}."
    )
    screen.data(
        {
            "database": place,
            "tenant": str(found.id),
            "slug": found.slug,
            "folder": str(folder),
            "rows": manifest.counts,
        }
    )


def import_(
    folder: Annotated[Path, Argument("FOLDER", "A folder that 'tenant export' has written.")],
    models: Models = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Load an exported tenant into a database that does not contain it, completely or not at all.

    JSON: database, tenant, slug, folder, rows (table, number).
    """
    from dbschema.tools import tenants  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    with _engine(url, screen) as (place, engine), progress_bar() as on_progress:
        manifest = tenants.import_tenant(engine, folder, metadata=metadata, on_progress=on_progress)
    _show_counts(screen, manifest.counts)
    screen.line(f"Tenant {manifest.slug} is imported: {plural(sum(manifest.counts.values()), 'row')}.")
    screen.data(
        {
            "database": place,
            "tenant": str(manifest.tenant_id),
            "slug": manifest.slug,
            "folder": str(folder),
            "rows": manifest.counts,
        }
    )


def remove(
    name: Name,
    *,
    yes: Annotated[bool, Flag("--yes", "Do not ask.")] = False,
    dry_run: Annotated[bool, Flag("--dry-run", "Count its rows and remove nothing.")] = False,
    batch: Annotated[
        int, Option("--batch", "ROWS", "Rows per transaction; 5000 by default.", parse=whole_number(1))
    ] = 5_000,
    models: Models = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Remove a tenant and all its rows permanently. After an interruption, a second call continues.

    Without --yes, the command asks for the slug.

    JSON: database, tenant, slug, removed (true or false), rows (table, number).
    """
    from dbschema.tools import tenants  # noqa: PLC0415  imports SQLAlchemy

    screen = Screen(as_json=as_json)
    metadata = load_models(models)
    with _engine(url, screen) as (place, engine):
        found = tenants.find_tenant(engine, name)
        if dry_run:
            counts = tenants.count_rows(engine, found.id, metadata=metadata)
        else:
            if not yes:
                _ask(found, place)
            with progress_bar() as on_progress:
                counts = tenants.remove_tenant(
                    engine, found.id, batch=batch, metadata=metadata, on_progress=on_progress
                ).counts
    _show_counts(screen, counts)
    total = plural(sum(counts.values()), "row")
    screen.line(
        f"Tenant {found.slug} has {total}; nothing was removed."
        if dry_run
        else f"Tenant {found.slug} is removed: {total}."
    )
    screen.data(
        {
            "database": place,
            "tenant": str(found.id),
            "slug": found.slug,
            "removed": not dry_run,
            "rows": counts,
        }
    )


def _ask(found: "Tenant", place: str) -> None:
    """Ask for the slug, because a plain yes is easy to give by mistake.

    Raises:
        CallRejected: there is no terminal to ask on, or the answer is not the slug.
    """
    if not sys.stdin.isatty():
        raise CallRejected(
            f"This removes tenant {found.slug} ({found.tenant_name}) from {place} for good",
            "Repeat with --yes if that is meant",
        )
    typed = ask(
        f"This removes tenant {found.slug} ({found.tenant_name}) from {place} for good. Type its slug to go on:",
        sys.stderr,
    )
    if typed != found.slug:
        raise CallRejected(f"{typed!r} is not the slug of the tenant, and nothing was removed", "Call again")


@contextmanager
def _engine(url: str | None, screen: Screen) -> "Iterator[tuple[str, Engine]]":
    from dbschema import connect  # noqa: PLC0415  imports SQLAlchemy

    settings = database(url, screen)
    with connect.translating(settings):
        yield settings.place, connect.create_engine(settings)


def _show_counts(screen: Screen, counts: dict[str, int]) -> None:
    screen.table(("table", "rows"), [(name, count) for name, count in counts.items() if count])


def _data(tenant: "Tenant") -> dict[str, Any]:
    return {
        "id": str(tenant.id),
        "slug": tenant.slug,
        "name": tenant.tenant_name,
        "status": str(tenant.status),
        "created_at": tenant.created_at.isoformat(),
    }


COMMANDS = (
    Group(
        "tenant",
        "Create, list, export, import and remove tenants.",
        {
            "Commands": (
                Command(create),
                Command(list_, name="list"),
                Command(export),
                Command(import_, name="import"),
                Command(remove),
            )
        },
    ),
)
