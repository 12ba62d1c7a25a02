"""What each command does and shows, on databases that are named with --url."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import make_url

from dbschema.migrations import runner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]
    Snapshot = Callable[[str], list[tuple[str, ...]]]

HEAD = str(runner.History().head)


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def place(url: str) -> str:
    parts = make_url(url)
    return f"{parts.database} at {parts.host}:{parts.port}"


def count(url: str, table: str) -> int:
    with psycopg.connect(libpq(url)) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


def succeeded(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert (done.returncode, done.stderr) == (code, ""), done
    return done.stdout


def as_json(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    """What a command shows with --json: one value, and nothing beside it."""
    return json.loads(succeeded(done, code))


def test_an_upgrade_tells_each_step_and_where_it_ends(run: Run, fresh_database: str) -> None:
    shown = succeeded(run("upgrade", "--url", fresh_database))

    assert shown.startswith("Apply 1/")
    assert f"{place(fresh_database)} is now at revision {HEAD}" in shown


def test_a_second_upgrade_says_that_nothing_is_to_do(run: Run, database: str) -> None:
    assert (
        succeeded(run("upgrade", "--url", database))
        == f"Nothing to do: {place(database)} is at revision {HEAD}.\n"
    )


def test_an_upgrade_as_json(run: Run, fresh_database: str) -> None:
    shown = as_json(run("upgrade", "--url", fresh_database, "--json"))

    assert shown.keys() == {"database", "before", "after", "steps", "left", "unknown", "differences"}
    assert (shown["left"], shown["unknown"], shown["differences"]) == ([], [], [])
    assert (shown["database"], shown["before"], shown["after"]) == (place(fresh_database), None, HEAD)
    assert [step["id"] for step in shown["steps"]] == [revision.id for revision in runner.History().revisions]
    assert all(step["doc"] for step in shown["steps"])


def test_an_upgrade_without_time_tells_what_is_left(run: Run, fresh_database: str) -> None:
    shown = succeeded(run("upgrade", "--url", fresh_database, "--within", "0"), code=1)
    left = as_json(run("upgrade", "--url", fresh_database, "--within", "0", "--json"), code=1)["left"]

    assert shown.startswith(
        f"Time is over: {place(fresh_database)} is at base (no revision), after 0 steps; left: "
    )
    assert [step["id"] for step in left] == [revision.id for revision in runner.History().revisions]


def test_an_upgrade_shows_how_the_database_then_differs_unless_told_not_to(
    run: Run, fresh_database: str
) -> None:
    """Whatever was made by hand before, or is forgotten in a revision, is known at once."""
    with psycopg.connect(libpq(fresh_database)) as connection:
        connection.execute("CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'")

    shown = succeeded(run("upgrade", "--url", fresh_database), code=1)
    succeeded(run("downgrade", "base", "--url", fresh_database))
    succeeded(run("upgrade", "--url", fresh_database, "--no-compare"))

    assert "extra function by_hand" in shown
    assert f"is now at revision {HEAD}" in shown


def test_a_newer_database_is_left_alone_where_that_is_told(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff99990000'")

    refused = run("upgrade", "--url", database)
    shown = succeeded(run("upgrade", "--url", database, "--tolerate-newer"))
    mistyped = run("upgrade", "ffff99990001", "--url", database, "--tolerate-newer")

    assert (refused.returncode, mistyped.returncode) == (2, 2)
    assert (
        shown
        == f"Nothing done: {place(database)} is at revision ffff99990000, which a newer version of dbschema made.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--lock-timeout", "-1"], {}),
        (["--lock-retry", "nan"], {}),
        (["--wait", "inf"], {}),
        (["--statement-timeout", "9999999"], {}),
        ([], {"DBSCHEMA_LOCK_TIMEOUT": "50ms"}),
        ([], {"DBSCHEMA_WAIT": "-3"}),
    ],
)
def test_a_limit_that_is_no_number_of_seconds_is_refused(
    run: Run, fresh_database: str, arguments: list[str], environment: dict[str, str]
) -> None:
    done = run("upgrade", "--url", fresh_database, *arguments, **environment)

    assert done.returncode == 2
    assert "which is no number of seconds" in done.stderr
    assert all(name in done.stderr for name in environment)


def test_down_to_base_and_up_again(run: Run, fresh_database: str, snapshot: Snapshot) -> None:
    empty = {line[:3] for line in snapshot(fresh_database)}
    succeeded(run("upgrade", "--url", fresh_database))

    shown = as_json(run("downgrade", "base", "--url", fresh_database, "--json"))
    left = {line[:3] for line in snapshot(fresh_database)}
    succeeded(run("upgrade", "--url", fresh_database))

    assert (shown["before"], shown["after"]) == (HEAD, None)
    assert left == empty


def test_a_step_down_and_a_step_up(run: Run, database: str) -> None:
    down = as_json(run("downgrade", "-1", "--url", database, "--json"))
    up = as_json(run("upgrade", "+1", "--url", database, "--json"))

    assert (len(down["steps"]), len(up["steps"]), up["after"]) == (1, 1, HEAD)


def test_the_environment_names_the_database_where_no_option_does(
    run: Run, database: str, fresh_database: str
) -> None:
    alone = as_json(run("status", "--json", DATABASE_URL=database))
    beaten = as_json(run("status", "--json", "--url", fresh_database, DATABASE_URL=database), code=1)

    assert (alone["database"], alone["source"]) == (place(database), "DATABASE_URL")
    assert (beaten["database"], beaten["source"]) == (place(fresh_database), "--url")


def test_the_status_of_a_database_at_the_head(run: Run, database: str) -> None:
    shown = succeeded(run("status", "--url", database))

    assert f"Database  {place(database)} (from --url)" in shown
    assert "Server    PostgreSQL 1" in shown
    assert "PostGIS 3" in shown
    assert f"Revision  {HEAD}" in shown
    assert "Pending   none" in shown


def test_the_status_of_an_empty_database_is_a_finding(run: Run, fresh_database: str) -> None:
    shown = succeeded(run("status", "--url", fresh_database), code=1)

    assert "Revision  none" in shown
    assert "PostGIS not installed" in shown
    assert "'dbschema upgrade' applies" in shown


def test_the_status_of_a_database_that_is_newer_is_a_finding(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff99990000'")

    shown = as_json(run("status", "--url", database, "--json"), code=1)

    assert (shown["unknown"], shown["up_to_date"]) == (["ffff99990000"], False)


def test_the_status_as_json(run: Run, database: str) -> None:
    shown = as_json(run("status", "--url", database, "--json"))

    assert shown == {
        "database": place(database),
        "source": "--url",
        "server_version": shown["server_version"],
        "postgis_version": shown["postgis_version"],
        "in_recovery": False,
        "current": [HEAD],
        "head": HEAD,
        "pending": [],
        "unknown": [],
        "up_to_date": True,
    }


def test_a_check_of_an_untouched_database_finds_nothing(run: Run, database: str) -> None:
    shown = succeeded(run("check", "--url", database))

    assert shown.endswith(f"{place(database)} is what the models declare.\n")


def test_a_check_names_each_difference_with_what_is_wanted_and_found(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY; CREATE TABLE theirs (id int)")
        connection.execute("DROP INDEX idx_agents_tenant")

    shown = succeeded(run("check", "--url", database), code=1)
    listed = as_json(run("check", "--url", database, "--json"), code=1)

    assert "missing index idx_agents_tenant on agent_definitions\n    wanted: CREATE INDEX" in shown
    assert "extra table theirs\n    wanted: nothing\n    found:  present\n" in shown
    assert "changed row-level security incidents: " in shown
    assert "3 points" in shown
    assert listed["clean"] is False
    assert {(one["change"], one["kind"], one["name"]) for one in listed["differences"]} == {
        ("missing", "index", "idx_agents_tenant"),
        ("extra", "table", "theirs"),
        ("changed", "row-level security", "incidents"),
    }
    assert listed["differences"][0].keys() == {
        "kind", "schema", "table", "name", "change", "attribute", "wanted", "found",
    }  # fmt: skip


def test_a_check_shows_a_changed_body_line_by_line(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            "BEGIN\n    RETURN NEW; -- forged\nEND\n$$"
        )

    shown = succeeded(run("check", "--url", database), code=1)

    assert "\n    found:\n" in shown
    assert "\n            RETURN NEW; -- forged\n" in shown


def test_a_check_leaves_no_trace(run: Run, database: str, snapshot: Snapshot) -> None:
    before = snapshot(database)

    run("check", "--url", database)

    assert snapshot(database) == before


def test_a_verification_of_an_untouched_database_passes(run: Run, database: str) -> None:
    shown = succeeded(run("verify", "--url", database))

    assert "  ✓ " in shown
    assert "✗" not in shown
    assert shown.endswith("checks passed, 100.0%.\n")


def test_a_failed_verification_is_a_finding(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("ALTER TABLE incidents DISABLE ROW LEVEL SECURITY")

    shown = succeeded(run("verify", "--url", database), code=1)
    listed = as_json(run("verify", "--url", database, "--json"), code=1)

    assert "  ✗ " in shown
    assert listed["failed"] > 0
    assert listed["rate"] < 1
    assert listed["total"] == listed["passed"] + listed["failed"] == len(listed["checks"])
    assert listed["checks"][0].keys() == {"group", "name", "passed", "tried", "detail"}


def test_seeding_another_database_writes_no_sample_data_unless_it_is_asked_for(
    run: Run, database: str
) -> None:
    unasked = as_json(run("seed", "--url", database, "--json"))
    tenants = count(database, "tenants")
    asked = as_json(run("seed", "--sample", "--url", database, "--json"))

    assert list(unasked["rows"]) == ["reference"]
    assert tenants == 0
    assert list(asked["rows"]) == ["sample"]
    assert count(database, "tenants") == 3


def test_seeding_twice_writes_once(run: Run, database: str) -> None:
    first = as_json(run("seed", "--reference", "--sample", "--url", database, "--json"))
    second = succeeded(run("seed", "--reference", "--sample", "--url", database))

    assert first["rows"]["sample"]["tenants"] == 3
    assert "Sample data: 0 rows written, nothing was missing." in second


def test_seeding_is_all_or_nothing(run: Run, database: str) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("DROP TABLE messages")

    done = run("seed", "--sample", "--url", database)

    assert done.returncode == 2
    assert count(database, "tenants") == 0


def test_a_reset_of_a_database_that_is_named_empties_it(run: Run, database: str) -> None:
    run("seed", "--sample", "--url", database)
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("INSERT INTO tenants (tenant_name, slug) VALUES ('Theirs', 'theirs')")

    shown = as_json(run("reset", "--yes", "--url", database, "--json"))
    left = count(database, "tenants")
    sample = as_json(run("reset", "--yes", "--with-sample-data", "--url", database, "--json"))

    assert (shown["before"], shown["after"], list(shown["rows"])) == (HEAD, HEAD, ["reference"])
    assert left == 0
    assert sample["rows"]["sample"]["tenants"] == 3
    assert count(database, "tenants") == 3


def test_a_reset_that_cannot_take_a_revision_back_changes_nothing(
    run: Run, database: str, snapshot: Snapshot
) -> None:
    """Something that was made by hand stands on a table of ours."""
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT * FROM incidents")
    before = snapshot(database)

    done = run("reset", "--yes", "--url", database)

    assert done.returncode == 2
    assert "incidents" in done.stderr
    assert snapshot(database) == before


def test_the_address_is_printed_for_psql_with_its_password(run: Run, fresh_database: str) -> None:
    shown = succeeded(run("url", "--url", fresh_database))
    listed = as_json(run("url", "--url", fresh_database, "--json"))

    assert shown == libpq(fresh_database) + "\n"
    assert listed == {"url": libpq(fresh_database), "source": "--url"}


def test_sql_executed_by_hand_is_the_upgrade(run: Run, fresh_database: str) -> None:
    script = succeeded(run("sql"))
    with psycopg.connect(libpq(fresh_database), autocommit=True) as connection:
        connection.execute(script)  # type: ignore[call-overload]  # a whole script, as psql would send it

    succeeded(run("check", "--url", fresh_database))
    succeeded(run("status", "--url", fresh_database))


@pytest.mark.parametrize("command", ["", "up", "down", "url", "psql", "upgrade", "downgrade", "status", "check", "verify", "seed", "reset", "sql"])  # fmt: skip
def test_each_command_explains_itself(run: Run, command: str) -> None:
    shown = succeeded(run(*([command] if command else []), "--help"))

    assert "Usage: dbschema" in shown


def test_the_command_alone_shows_the_help(run: Run) -> None:
    assert succeeded(run()) == succeeded(run("--help"))


def test_the_version_is_shown(run: Run) -> None:
    assert succeeded(run("--version")).startswith("dbschema 0.")


def test_only_the_command_that_shows_the_address_shows_the_password(run: Run, fresh_database: str) -> None:
    password = str(make_url(fresh_database).password)
    calls = [
        ["status"], ["upgrade"], ["seed", "--sample"], ["check"], ["verify"], ["downgrade", "-1"], ["upgrade", "nonsense"],
        ["downgrade", "+1"], ["reset", "--yes"], ["reset"], ["sql"], ["status", "--nonsense"],
    ]  # fmt: skip
    outputs = {}

    for call in calls:
        for more in ([], ["--json"]):
            where = [] if call == ["sql"] else ["--url", fresh_database]
            done = run("--debug", *call, *where, *more)
            outputs[" ".join([*call, *more])] = done.stdout + done.stderr
    shown = run("url", "--url", fresh_database).stdout

    assert [call for call, output in outputs.items() if password in output] == []
    assert password in shown


def forget_revision(url: str) -> None:
    with psycopg.connect(libpq(url)) as connection:
        connection.execute("DROP TABLE alembic_version")


def test_a_baseline_records_the_revision_of_an_equal_database(run: Run, database: str) -> None:
    forget_revision(database)

    shown = succeeded(run("baseline", "--url", database))
    again = as_json(run("baseline", "--url", database, "--json"))

    assert (
        shown.splitlines()[-1]
        == f"{place(database)} is what the models declare, and recorded as revision {HEAD}."
    )
    assert again == {"database": place(database), "revision": HEAD, "recorded": False, "differences": []}


def test_a_baseline_of_a_different_database_tells_why_and_records_nothing(run: Run, database: str) -> None:
    forget_revision(database)
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("CREATE TABLE legacy (id int); ALTER TABLE teams DROP COLUMN description")

    strict = succeeded(run("baseline", "--url", database), code=1)
    tolerant = as_json(run("baseline", "--url", database, "--allow-foreign", "--json"), code=1)

    assert "extra table legacy" in strict
    assert strict.endswith("; nothing was recorded.\n")
    assert [(one["kind"], one["table"], one["name"]) for one in tolerant["differences"]] == [
        ("column", "teams", "description")
    ]
    assert as_json(run("status", "--url", database, "--json"), code=1)["current"] == []
