"""The command line as a program: its start, its streams and signals, and the private server's whole life."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from dbschema import connect
from dbschema.migrations import lock
from dbschema.models import metadata
from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable

    Program = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = (
    "alembic",
    "sqlalchemy",
    "psycopg",
    "geoalchemy2",
    "pydantic",
    "dbschema.models",
    "dbschema.tools.server",
    "boto3",
)
USUAL = (
    "argparse, asyncio, concurrent.futures, csv, decimal, doctest, email.mime.text, ftplib, http.server, imaplib,"
    "logging.config, multiprocessing.pool, pydoc, smtplib, sqlite3, tarfile, unittest.mock, xml.dom.minidom, zipfile"
)
USUAL_SECONDS = 0.1  # where the help takes 0.13, with nothing beside it


def succeeded(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert (done.returncode, done.stderr) == (code, ""), done
    return done.stdout


def on_terminal(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dbschema", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        return read_terminal(ours)


def read_terminal(descriptor: int) -> str:
    """Everything that is shown until the program has ended."""
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([descriptor], [], [], 0.1)[0]:
            continue
        try:
            read = os.read(descriptor, 65536)
        except OSError:  # the other side has closed
            break
        if not read:
            break
        shown += read
    os.close(descriptor)
    return shown.decode()


def test_the_help_imports_nothing_heavy(environment: dict[str, str], tmp_path: Path) -> None:
    code = f"""
import sys
from dbschema.tools.cli import main
sys.argv = ["dbschema", "--help"]
try:
    main()
finally:
    sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Usage: dbschema" in succeeded(done)


def test_the_help_answers_in_a_quarter_of_a_second(program: Program) -> None:
    """In time of the processor, for other tests run beside this one; the best of some calls, for the same reason.

    A processor that is slower, or has its caches used by others, also takes longer for imports that are always the same.
    """
    imports = [sys.executable, "-I", "-c", f"import {USUAL}"]
    helps, usual = [], []
    for _ in range(5):
        helps.append(of_processor(lambda: succeeded(program("--help"))))
        usual.append(of_processor(lambda: subprocess.run(imports, check=True)))

    assert min(helps) < 0.25 * max(1, min(usual) / USUAL_SECONDS)


def of_processor(call: Callable[[], object]) -> float:
    """The seconds of the processor that the processes took which `call` started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_no_colour_where_there_is_no_terminal(program: Program, database: str) -> None:
    for call in (["--help"], ["status", "--url", database], ["verify", "--url", database], ["nonsense"]):
        done = program(*call)
        assert "\x1b" not in done.stdout + done.stderr


def test_colour_and_progress_on_a_terminal(
    environment: dict[str, str], tmp_path: Path, fresh_database: str
) -> None:
    shown = on_terminal(["upgrade", "--url", fresh_database], environment, tmp_path)

    assert "\x1b[32m✓\x1b[0m Apply 1/" in shown


def test_no_colour_on_a_terminal_that_asks_for_none(
    environment: dict[str, str], tmp_path: Path, fresh_database: str
) -> None:
    shown = on_terminal(
        ["upgrade", "nonsense", "--url", fresh_database], {**environment, "NO_COLOR": "1"}, tmp_path
    )

    assert "Error: There is no revision" in shown
    assert "\x1b[3" not in shown


def test_the_line_of_an_error_ends_with_its_code(program: Program, database: str) -> None:
    done = program("upgrade", "nonsense", "--url", database)

    assert done.stderr.endswith("'head' or 'base'. [unknown-revision]\n")


def test_words_in_place_of_marks_where_the_encoding_has_none(program: Program, database: str) -> None:
    shown = succeeded(program("verify", "--url", database, PYTHONIOENCODING="ascii"))

    assert "  ok " in shown
    assert shown.isascii()


@pytest.mark.parametrize(
    "call", [["sql"], ["verify", "--url"], ["upgrade", "nonsense"], ["--help"]], ids=" ".join
)
def test_a_reader_that_goes_away_is_no_error(
    environment: dict[str, str], tmp_path: Path, database: str, call: list[str]
) -> None:
    """`dbschema sql | head` is quiet, and ends as other programs do."""
    command = [sys.executable, "-m", "dbschema", *call, *([database] if "--url" in call else [])]
    reader, writer = os.pipe()
    os.close(reader)
    stderr = writer if "nonsense" in call else subprocess.PIPE

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=writer,
        stderr=stderr,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writer)

    assert (done.returncode, done.stderr or "") == (141, "")


def test_output_that_cannot_be_written_is_an_error(environment: dict[str, str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dbschema", "sql"],
            cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_an_interrupt_is_told_and_leaves_nothing(
    environment: dict[str, str],
    tmp_path: Path,
    fresh_database: str,
    snapshot: Callable[[str], list[tuple[str, ...]]],
) -> None:
    before = snapshot(fresh_database)
    with lock.exclusive(connect.opener(connect.resolve(fresh_database)), "the test"):
        process = subprocess.Popen(
            [sys.executable, "-m", "dbschema", "upgrade", "--url", fresh_database],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # What is started in the background, as on a CI, ignores interrupts, and its children with it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  no threads here
        )  # fmt: skip
        assert process.stdout is not None
        told = process.stdout.readline()

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert told.startswith("Wait for another run on this database: process ")
    assert (process.returncode, errors) == (130, "\nInterrupted; the step that was under way is undone.\n")
    assert snapshot(fresh_database) == before


@pytest.mark.parametrize(
    "arguments",
    [["-Atc", "SELECT 'a b'"], ["-At", "-c", "SELECT 'a b'"], ["--", "-Atc", "SELECT 'a b'"]],
    ids=" ".join,
)
def test_psql_gets_its_arguments_as_they_are(
    program: Program, fresh_database: str, arguments: list[str]
) -> None:
    assert succeeded(program("psql", "--url", fresh_database, *arguments)) == "a b\n"


def test_psql_ends_with_its_own_exit_code(program: Program, fresh_database: str) -> None:
    done = program("psql", "--url", fresh_database, "-c", "SELECT 1 / 0")

    assert (done.returncode, done.stderr) == (1, "ERROR:  division by zero\n")


def test_psql_shows_the_password_to_nobody(
    environment: dict[str, str], tmp_path: Path, fresh_database: str
) -> None:
    """Arguments of a process can be read by every user of the machine."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dbschema", "psql", "--url", fresh_database, "-Atc", "SELECT 'there'", "-f", "-"],
        cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    there = process.stdout.readline()  # psql has taken the place of our program, and waits for its input

    arguments = " ".join(psutil.Process(process.pid).cmdline())
    process.communicate("", timeout=60)

    assert there == "there\n"
    assert "psql" in arguments
    assert str(make_url(fresh_database).password) not in arguments


def test_the_life_of_a_private_server(program: Program, home: Path) -> None:
    first = succeeded(program("up"))
    again = json.loads(succeeded(program("up", "--json")))
    address = succeeded(program("url")).strip()
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'spatial_ref_sys')"
        ).fetchone()
    inside = succeeded(program("psql", "-Atc", "SELECT count(*) FROM tenants"))
    verified = program("verify")
    stopped = succeeded(program("down"))
    stopped_again = succeeded(program("down"))
    back = json.loads(succeeded(program("status", "--json")))
    kept = succeeded(program("psql", "-Atc", "SELECT count(*) FROM tenants"))
    gone = json.loads(succeeded(program("down", "--destroy", "--json")))
    gone_again = json.loads(succeeded(program("down", "--destroy", "--json")))

    assert first.startswith(f"Start the private server in {home} ...\n")
    assert "tenants                    3\n" in first
    assert 'psql "$(dbschema url)"' in first
    assert str(make_url(address).password) not in first
    assert again.keys() == {"database", "before", "after", "steps", "left", "unknown", "rows", "tables"}
    assert (again["steps"], sum(again["rows"]["sample"].values()), again["tables"]["tenants"]) == ([], 0, 3)
    assert (tables, inside, kept) == ((len(metadata.tables),), "3\n", "3\n")
    assert (verified.returncode, verified.stderr) == (0, ""), verified
    assert stopped.endswith("has stopped; its data stay.\n")
    assert stopped_again.startswith("No private server was running")
    assert (back["source"], back["up_to_date"]) == ("the private server", True)
    assert gone == {"home": str(home), "stopped": True, "destroyed": True}
    assert gone_again == {"home": str(home), "stopped": False, "destroyed": False}
    assert not home.exists()


def test_up_means_the_private_server_whatever_the_environment_says(program: Program, home: Path) -> None:
    """Sample data must not get into a database that a shell has named for something else."""
    PrivateServer(home, options={"fsync": "off"}).start()

    done = program("up", "--no-seed", "--json", DATABASE_URL="postgresql://ada:s3cr3t@db.invalid/shop")

    shown = json.loads(done.stdout)
    assert done.returncode == 0
    assert shown["database"].startswith("dbschema at 127.0.0.1:")
    assert (shown["rows"], shown["tables"]["tenants"]) == ({}, 0)
    assert done.stderr.startswith("Note: DATABASE_URL is set")
    assert done.stderr.count("\n") == 1


def test_a_reset_makes_the_private_database_anew_whatever_was_done_to_it(
    program: Program, home: Path
) -> None:
    PrivateServer(home, options={"fsync": "off"}).start()
    succeeded(program("up", "--no-seed"))
    with contextlib.closing(psycopg.connect(succeeded(program("url")).strip())) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT * FROM incidents; DROP TABLE messages")
        connection.execute("UPDATE alembic_version SET version_num = 'ffff99990000'")
        connection.commit()
        connection.execute("SELECT 1")  # and somebody is still connected

        refused = program("upgrade")
        shown = json.loads(succeeded(program("reset", "--yes", "--with-sample-data", "--json")))

    assert refused.returncode == 2
    assert "dbschema reset --yes" in refused.stderr
    assert (shown["before"], shown["after"]) == ("ffff99990000", shown["steps"][-1]["id"])
    assert shown["rows"]["sample"]["tenants"] == 3
    succeeded(program("check"))


@pytest.mark.parametrize("answer", ["n", "y"])
def test_on_a_terminal_the_data_go_only_after_a_yes(
    environment: dict[str, str], tmp_path: Path, home: Path, answer: str
) -> None:
    PrivateServer(home, options={"fsync": "off"}).start()
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "dbschema", "down", "--destroy"],
        cwd=tmp_path, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer.encode() + b"\n")
    shown = read_terminal(ours)
    code = process.wait(60)

    assert f"Remove all data of the private server in {home}?" in shown.replace("\r\n", "")
    assert (code, home.exists()) == ((2, True) if answer == "n" else (0, False))
