"""Where a connection stands, and the settings under which both sides print the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbschema.catalog.asking import ask
from dbschema.catalog.errors import no_default_schema
from dbschema.identity import sql_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION_TABLE = "alembic_version"
"""The table that Alembic keeps its revision in, unless it was told otherwise."""

PLACE = """
SELECT current_schema()::text, current_database()::text, current_user::text,
       ARRAY(SELECT DISTINCT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
             WHERE n.nspname <> 'pg_catalog' ORDER BY 1),
       ARRAY(SELECT r.oid::bigint FROM pg_roles r WHERE r.rolname = current_user
             UNION SELECT d.datdba::bigint FROM pg_database d WHERE d.datname = current_database()
             UNION SELECT c.relowner::bigint FROM pg_class c WHERE c.oid = to_regclass(quote_ident({version_table}))),
       ARRAY(SELECT k.word FROM pg_get_keywords() k WHERE k.catcode <> 'U')
"""


PRINTING = {
    "quote_all_identifiers": "off",
    # Compiling, and weighing ways to join, takes longer than these queries run.
    "jit": "off",
    "enable_memoize": "off",
    "enable_material": "off",
    "enable_mergejoin": "off",
}
"""Settings while a catalog is read, beside search_path."""


@dataclass(frozen=True)
class Place:
    """Where a connection stands.

    Args:
        default_schema: the first schema of its search_path.
        database, user: names, for messages.
        extension_schemas: the schemas that installed extensions are in; their types have to be found.
        owners: oids of the roles whose ownership goes without saying: who is connected, who owns the database, and
            who owns the version table.
        keywords: the words that the server quotes when it prints them as names.
        version_table: the table that Alembic keeps its revision in.
    """

    default_schema: str
    database: str
    user: str
    extension_schemas: tuple[str, ...]
    owners: tuple[int, ...]
    keywords: frozenset[str]
    version_table: str


def locate(cursor: Any, version_table: str = VERSION_TABLE) -> Place:
    """Where the connection of `cursor` stands, by its own search_path."""
    (row,) = ask(cursor, PLACE.format(version_table=sql_string(version_table)))
    default_schema, database, user, extension_schemas, owners, keywords = row
    if default_schema is None:
        raise no_default_schema(database)
    return Place(
        default_schema,
        database,
        user,
        tuple(extension_schemas),
        tuple(owners),
        frozenset(keywords),
        version_table,
    )


def settle(cursor: Any, path: Iterable[str]) -> None:
    """Fix what the printed definitions depend on, until the scratch transaction ends."""
    ask(cursor, settings({"search_path": search_path(path)} | PRINTING))


def settings(values: Mapping[str, str]) -> str:
    """A statement that makes settings which last until the transaction is rolled back."""
    calls = (f"set_config('{name}', {sql_string(value)}, true)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"


def search_path(names: Iterable[str]) -> str:
    """The value of search_path. Temporary tables, which would hide others, come last unless `names` has them."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in dict.fromkeys([*names, "pg_temp"]))


def oids(cursor: Any, names: Mapping[str, str | None]) -> dict[int, str | None]:
    """The logical name of each schema in `names` that is there, by its oid."""
    rows = ask(cursor, "SELECT oid, nspname::text FROM pg_namespace")
    return {oid: names[name] for oid, name in rows if name in names}
