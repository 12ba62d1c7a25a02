"""What the models want is known beforehand: a database that has it is recognised without them, and no other one is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from dbschema import application, catalog
from dbschema.catalog import known
from dbschema.models import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

DRIFTS = [
    "DROP INDEX idx_orders_status",
    "ALTER TABLE orders DISABLE TRIGGER ALL",
    "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY tenant_isolation ON orders",
    "CREATE POLICY everybody ON orders USING (true)",
    "REVOKE SELECT ON orders FROM dbschema_app",
    "GRANT SELECT ON orders TO PUBLIC",
    "CREATE TABLE another (id int)",
    "CREATE VIEW seen AS SELECT 1 AS one",
    "COMMENT ON TABLE orders IS 'otherwise'",
    "ALTER TABLE orders ADD CONSTRAINT more CHECK (true) NOT VALID",
    "ALTER FUNCTION search_documents OWNER TO CURRENT_USER",
    "ALTER ROLE dbschema_app BYPASSRLS",
    "DROP EXTENSION btree_gin CASCADE",
]


@pytest.fixture
def session(database: str) -> Iterator[psycopg.Connection]:
    """A psycopg connection to a migrated database."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        yield connection
        connection.rollback()


def test_the_file_is_what_the_models_want(connection: Connection) -> None:
    """Otherwise: make compile."""
    wanted = known.write(
        catalog.wanted(connection, metadata), catalog.spoken_of(metadata), application.sources()
    )

    assert application.KNOWN.read_text(encoding="utf-8") == wanted


def test_a_migrated_database_is_recognised_and_left_as_it_was(session: psycopg.Connection) -> None:
    session.execute("SET LOCAL work_mem = '5MB'")

    assert application.is_known_to_hold(session)

    assert session.info.transaction_status == TransactionStatus.INTRANS
    assert session.execute("SHOW work_mem").fetchone() == ("5MB",)


@pytest.mark.parametrize("drift", DRIFTS)
def test_one_that_differs_is_not(session: psycopg.Connection, drift: str) -> None:
    session.execute(drift)

    assert not application.is_known_to_hold(session)


def changed(**values: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **values})


@pytest.mark.parametrize(
    "damage",
    [
        changed(format=0),
        changed(sources="of other models"),
        changed(entries=[]),
        changed(entries=[["table"]]),
        changed(entries=None),
        lambda text: text[:-100],
        lambda _: "[]",
        lambda _: "",
    ],
    ids=["format", "sources", "no entries", "half an entry", "none", "cut off", "a list", "empty"],
)
def test_a_file_that_is_another_one_tells_nothing(
    session: psycopg.Connection, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(damage(application.KNOWN.read_text(encoding="utf-8")), encoding="utf-8")

    assert not known.holds(session, file, application.sources())
    assert not known.holds(session, tmp_path / "missing.json", application.sources())


def test_each_module_that_the_models_use_counts() -> None:
    """One that did not count would have an old catalog pass for what the models want now."""
    program = (
        "import sys, dbschema.models\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('dbschema.')), sep='\\n')"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    counted = {str(path) for path in application.sources()}
    uncounted = {path for path in done.stdout.splitlines() if path not in counted}
    assert uncounted <= {str(application.KNOWN.parents[1] / "errors.py")}


def test_an_upgrade_of_an_empty_database_imports_neither_sqlalchemy_nor_the_models(
    fresh_database: str,
) -> None:
    program = (
        "import sys\n"
        "from dbschema.cli import main\n"
        "sys.argv[1:1] = ['upgrade', '--url']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(*sorted({n.partition('.')[0] for n in sys.modules} & {'sqlalchemy', 'alembic'}), file=sys.stderr)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, fresh_database], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == ""
