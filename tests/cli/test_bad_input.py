"""Whatever is wrong with a call or a database: exit code 2, one line that names it and the next step, nothing changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from dbschema.tools.server import PrivateServer

    Program = Run = Callable[..., subprocess.CompletedProcess[str]]
    Snapshot = Callable[[str], list[tuple[str, ...]]]

SECRET = "s3cr3t-of-the-test"
# Every command that opens a database, as it is called with an address.
COMMANDS = (
    ["upgrade"],
    ["downgrade", "base"],
    ["status"],
    ["check"],
    ["verify"],
    ["seed"],
    ["seed", "--sample"],
    ["reset", "--yes"],
)
WRITING = (["upgrade"], ["reset", "--yes"])


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert that a call ended with exit code 2 and one line on standard error that holds `words`."""
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    assert re.search(r"\.( \[[a-z-]+\])?\n\Z", done.stderr), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def with_user(url: str, user: str, password: str = SECRET) -> str:
    return make_url(url).set(username=user, password=password).render_as_string(hide_password=False)


@pytest.fixture
def owner(fresh_database: str) -> Iterator[str]:
    """The address of an empty database for the role that owns it, and that may do nothing beyond."""
    name = str(make_url(fresh_database).database)
    role = f"{name}_owner"
    with psycopg.connect(libpq(fresh_database), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
        connection.execute(f"ALTER DATABASE {name} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role}")
    yield with_user(fresh_database, role)
    with psycopg.connect(libpq(fresh_database), autocommit=True) as connection:
        connection.execute(
            f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
        )


@pytest.fixture
def stranger(fresh_database: str) -> Iterator[str]:
    """The address of an empty database for a role that may only log in."""
    role = f"{make_url(fresh_database).database}_stranger"
    with psycopg.connect(libpq(fresh_database), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
    yield with_user(fresh_database, role)
    with psycopg.connect(libpq(fresh_database), autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
@pytest.mark.parametrize("revision", ["nonsense", "head+1", "base-1", "aaa", "1.2", "'; DROP TABLE x"])
def test_an_unknown_revision(
    run: Run, fresh_database: str, snapshot: Snapshot, command: str, revision: str
) -> None:
    before = snapshot(fresh_database)

    done = run(command, revision, "--url", fresh_database)

    refused(done, f"'{revision}'" if "'" not in revision else "DROP TABLE x")
    assert snapshot(fresh_database) == before


@pytest.mark.parametrize(
    "call",
    [["upgrade", "nonsense"], ["upgrade", "-1"], ["downgrade", "nonsense"], ["downgrade", "+1"]],
    ids=" ".join,
)
def test_a_revision_that_is_none_is_told_before_the_private_server_is_started(
    program: Program, environment: dict[str, str], call: list[str]
) -> None:
    refused(program(*call), f"'{call[1]}'")

    assert not Path(environment["DBSCHEMA_HOME"]).exists()


@pytest.mark.parametrize("span", ["nonsense", "base:nonsense", "head:+1", "a:b:c"])
def test_an_unknown_range_of_revisions(run: Run, span: str) -> None:
    refused(run("sql", span))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_address_at_which_nothing_listens(run: Run, command: list[str]) -> None:
    done = run(*command, "--url", f"postgresql://ada:{SECRET}@127.0.0.1:1/shop")

    refused(done, "Nothing answers for shop at 127.0.0.1:1", "Check host and port in --url")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_host_that_is_unknown(run: Run, command: list[str]) -> None:
    done = run(*command, "--url", f"postgresql://ada:{SECRET}@db.invalid/shop")

    refused(done, "db.invalid", "Check the host in --url")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "is empty"),
        ("nonsense", "is not the address"),
        (f"mysql://ada:{SECRET}@127.0.0.1/shop", "has the scheme 'mysql'"),
        (f"postgresql://ada:{SECRET}@127.0.0.1", "names no database"),
        (f"postgresql://ada:{SECRET}@127.0.0.1/shop?colour=red", "'colour'"),
        (f"postgresql://ada:{SECRET}%zz@127.0.0.1/shop", "Percent-encode"),
        (f"postgresql://ada:x@{SECRET}@127.0.0.1/shop", "Percent-encode"),
    ],
    ids=["empty", "nonsense", "mysql", "no database", "parameter", "percent", "at"],
)
@pytest.mark.parametrize("command", [*COMMANDS, ["url"], ["psql"]], ids=" ".join)
def test_a_wrong_address(run: Run, command: list[str], address: str, words: str) -> None:
    refused(run(*command, "--url", address), "--url", words)


def test_a_wrong_address_in_the_environment_is_told_as_that(run: Run) -> None:
    done = run("status", DATABASE_URL=f"mysql://ada:{SECRET}@127.0.0.1/shop")

    refused(done, "The address from DATABASE_URL has the scheme 'mysql'")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_password(run: Run, fresh_database: str, snapshot: Snapshot, command: list[str]) -> None:
    before = snapshot(fresh_database)

    done = run(*command, "--url", with_user(fresh_database, "dbschema"))

    refused(done, "rejects the password of 'dbschema'", "Correct user name and password in --url")
    assert snapshot(fresh_database) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_is_not_there(run: Run, fresh_database: str, command: list[str]) -> None:
    url = make_url(fresh_database).set(database="nowhere").render_as_string(hide_password=False)

    refused(run(*command, "--url", url), "no database 'nowhere'", "CREATE DATABASE")


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_role_that_may_create_nothing(
    run: Run, stranger: str, snapshot: Snapshot, command: list[str]
) -> None:
    before = snapshot(stranger)

    done = run(*command, "--url", stranger)

    refused(done, f"GRANT CREATE ON SCHEMA public TO {make_url(stranger).username}", "nothing was changed")
    assert snapshot(stranger) == before


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_role_that_may_not_install_postgis(
    run: Run, owner: str, snapshot: Snapshot, command: list[str]
) -> None:
    before = snapshot(owner)

    done = run(*command, "--url", owner)

    refused(
        done, 'permission denied to create extension "postgis"', "administrator", "CREATE EXTENSION postgis"
    )
    assert snapshot(owner) == before


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_database_that_holds_foreign_tables(
    run: Run, fresh_database: str, snapshot: Snapshot, command: list[str]
) -> None:
    with psycopg.connect(libpq(fresh_database)) as connection:
        connection.execute(
            "CREATE TABLE theirs (id int); CREATE TABLE users (name text); INSERT INTO users VALUES ('ada')"
        )
    before = snapshot(fresh_database)

    done = run(*command, "--url", fresh_database)

    refused(done, "theirs, users", "empty database", "nothing was changed")
    assert snapshot(fresh_database) == before
    with psycopg.connect(libpq(fresh_database)) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]


@pytest.mark.parametrize("command", ["upgrade", "downgrade base", "reset --yes"])
def test_a_database_that_is_newer_than_this_release(
    run: Run, database: str, snapshot: Snapshot, command: str
) -> None:
    with psycopg.connect(libpq(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff99990000'")
    before = snapshot(database)

    done = run(*command.split(), "--url", database)

    refused(done, "ffff99990000", "Install the version that made it")
    assert snapshot(database) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_older_than_15_played_by_a_stand_in_that_says_14(
    run: Run, old_server: int, command: list[str]
) -> None:
    done = run(*command, "--url", f"postgresql://ada:{SECRET}@127.0.0.1:{old_server}/shop")

    refused(done, "is PostgreSQL 14.9", "needs 15 or newer", "Upgrade that server")


def test_a_role_that_may_not_create_roles_gets_the_statements_that_make_it_work(
    program: Program, lonely_server: PrivateServer, snapshot: Snapshot
) -> None:
    """In a cluster that has no group roles, by the owner of a database in which an administrator put the extensions."""
    admin = lonely_server.address().url("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE migrator LOGIN PASSWORD '{SECRET}'")
        connection.execute("CREATE DATABASE shop OWNER migrator")
    url = with_user(lonely_server.address().url("shop"), "migrator")
    with psycopg.connect(lonely_server.address().url("shop")) as connection:
        connection.execute(
            "CREATE EXTENSION postgis; CREATE EXTENSION btree_gist; ALTER SCHEMA public OWNER TO migrator"
        )
    before = snapshot(url)
    missing = []

    for _ in range(6):
        done = program("upgrade", "--url", url)
        if done.returncode == 0:
            break
        refused(done, "Have an administrator run: ", "nothing of this revision was kept")
        assert snapshot(url) == before
        statements = done.stderr.partition("administrator run: ")[2].rpartition("; nothing of this")[0]
        missing.append(statements)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL(statements))  # type: ignore[arg-type]  # what was printed is what is tried

    assert done.returncode == 0, done.stderr
    assert [one.partition(" NOLOGIN")[0] for one in sorted(missing)] == [
        "CREATE ROLE dbschema_app",
        "CREATE ROLE dbschema_operator",
        "CREATE ROLE dbschema_readonly",
        "CREATE ROLE dbschema_search",
        "GRANT dbschema_search TO migrator",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense"], "No such option: --nonsense"),
        (["downgrade"], "Missing argument 'REV'"),
        (["status", "surplus"], "surplus"),
        (["upgrade", "--nonsense"], "--nonsense"),
        (["upgrade", "-1"], "'dbschema downgrade -1'"),
        (["downgrade", "+1"], "'dbschema upgrade +1'"),
        (["status", "--url"], "--url"),
        (["--url", "x", "status"], "--url"),
        (["reset"], "--yes"),
        (["reset", "--with-sample-data"], "--yes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call(run: Run, arguments: list[str], words: str) -> None:
    refused(run(*arguments), words)


def test_reset_refuses_a_database_that_only_the_environment_names(
    run: Run, database: str, snapshot: Snapshot
) -> None:
    before = snapshot(database)

    done = run("reset", "--yes", DATABASE_URL=database)

    refused(done, "DATABASE_URL only", "Give its address with --url")
    assert snapshot(database) == before


def test_a_folder_for_the_private_server_that_cannot_be_one(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refused(program("up", DBSCHEMA_HOME=str(tmp_path / "file" / "home")), "DBSCHEMA_HOME")


def test_an_error_that_nobody_expected_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("first\nsecond")

    monkeypatch.setattr("dbschema.migrations.runner.sql", fail)

    refused(run("sql"), "KeyError", "first", "--debug")


def test_with_debug_the_traceback_comes_before_the_line(run: Run) -> None:
    done = run("--debug", "status", "--url", f"postgresql://ada:{SECRET}@127.0.0.1:1/shop")

    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: Nothing answers")
    assert SECRET not in done.stderr
