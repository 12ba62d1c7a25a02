"""Commands that are sent to a standby: what changes is refused by name, and what only looks serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import pytest
from tests.verify.ours import run as run_ours

from dbschema import catalog, connect, models
from dbschema.errors import NotWritable
from dbschema.migrations import runner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from pair import Pair

Program: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"


def names_the_standby(done: subprocess.CompletedProcess[str]) -> bool:
    """One line of error, which says what it is and what to name instead."""
    return done.returncode == 2 and "standby" in done.stderr and "writer endpoint" in done.stderr


@pytest.fixture(scope="module")
def migrated(lasting_pair: Pair) -> Pair:
    """Whose primary, and so its standby, is at the head."""
    runner.upgrade(lasting_pair.url("1"))
    return lasting_pair


def test_an_upgrade_of_a_standby_is_refused_and_changes_nothing(pair: Pair, program: Program) -> None:
    with pytest.raises(NotWritable) as caught:
        runner.upgrade(pair.url("2"))
    done = program("upgrade", "--url", pair.url("2"))

    assert caught.value.recovery
    assert "is a standby in recovery" in str(caught.value)
    assert names_the_standby(done)
    assert pair.ask("1", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_the_upgrade_serves_as_soon_as_the_standby_is_promoted(pair: Pair) -> None:
    with pytest.raises(NotWritable):
        runner.upgrade(pair.url("2"))

    pair.fail_over()
    run = runner.upgrade(pair.url("2"))

    assert run.complete
    assert run.after == runner.status(pair.url("2")).head


def test_a_downgrade_of_a_standby_is_refused(migrated: Pair) -> None:
    with pytest.raises(NotWritable):
        runner.downgrade(migrated.url("2"), "base")

    assert runner.status(migrated.url("1")).up_to_date


def test_the_status_of_a_standby_says_that_it_is_one(migrated: Pair, program: Program) -> None:
    told = runner.status(migrated.url("2"))
    done = program("status", "--url", migrated.url("2"))
    as_json = json.loads(program("status", "--json", "--url", migrated.url("2")).stdout)

    assert told.in_recovery
    assert told.up_to_date
    assert done.returncode == 0
    assert "a standby" in done.stdout
    assert (as_json["in_recovery"], as_json["up_to_date"]) == (True, True)


def test_an_upgrade_of_a_standby_that_has_nothing_to_do_is_none(migrated: Pair) -> None:
    """What the standby holds, the primary holds too."""
    assert runner.upgrade(migrated.url("2")).steps == ()


def test_a_comparison_on_a_standby_is_refused_by_name(migrated: Pair, program: Program) -> None:
    settings = connect.resolve(migrated.url("2"))

    with connect.create_engine(settings).connect() as connection, pytest.raises(NotWritable) as caught:
        catalog.check(connection, models.metadata)
    done = program("check", "--url", migrated.url("2"))

    assert caught.value.recovery
    assert names_the_standby(done)


def test_a_verification_of_a_standby_says_why_it_fails(migrated: Pair) -> None:
    with connect.create_engine(connect.resolve(migrated.url("2"))).connect() as connection:
        report = run_ours(connection)

    failed = {check.name: check.detail for check in report.failures}
    assert "standby" in failed["writable"]


def test_of_two_hosts_the_one_that_accepts_changes_is_taken(
    pair: Pair, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libpq offers without any wrapper: an address with all instances."""
    hosts = f"127.0.0.2:{pair.port},127.0.0.1:{pair.port}"
    url = f"postgresql://postgres:{pair.password}@{hosts}/app?target_session_attrs=read-write"

    done = program("upgrade", "--url", url)

    assert (done.returncode, done.stderr) == (0, "")
    assert runner.status(pair.url("1")).up_to_date


def test_the_stand_in_replicates_as_aurora_does(pair: Pair) -> None:
    """What was committed on the writer is there on the reader, and after the writer's death; both know who writes."""
    roles = "SELECT string_agg(server_id, ',') FROM aurora_replica_status() WHERE session_id = 'MASTER_SESSION_ID'"
    before = [pair.ask(name, roles) for name in ("1", "2")]
    with psycopg.connect(pair.url("1")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS n")

    seen = pair.ask("2", "SELECT n FROM t")
    pair.fail_over()

    assert before == ["1", "1"]
    assert (seen, pair.ask("2", "SELECT n FROM t"), pair.ask("2", roles)) == (42, 42, "2")
