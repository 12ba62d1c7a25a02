"""Measure the interruption of an upgrade when its writer dies: from the stop of the old writer until the run continues on the new one.

    python benchmarks/failover.py [--rounds 5]

Two local servers with streaming replication represent the two instances of an Aurora cluster (`tests/migrations/failover/pair.py`).
In the middle of the second of three revisions the first server is stopped at once and the second promoted. The output has three times,
in seconds after the stop: until the new writer accepts changes (only the servers determine it; on AWS it is mostly
10 to 60 s), until the run has restarted its revision, and until the upgrade has ended. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "migrations" / "failover")]

from pair import PATTERN, Pair  # noqa: E402  found by the line above

from dbschema import connect  # noqa: E402  as above
from dbschema.migrations import result, runner  # noqa: E402  as above

ENVIRONMENT = """
from alembic import context
from sqlalchemy import MetaData

from dbschema.migrations import alembic_env

alembic_env.run(context, MetaData())
"""
REVISION = '''
"""Do {id}"""
from pathlib import Path

from alembic import op

revision = "{id}"
down_revision = {below!r}


def upgrade():
    {up}
'''
SLEEPS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbschema' AND wait_event = 'PgSleep'"
)


def history(folder: Path) -> Path:
    """Write three revisions; the second waits until the file `go` exists."""
    (folder / "versions").mkdir()
    (folder / "env.py").write_text(ENVIRONMENT)
    wait = f"if not Path({str(folder / 'go')!r}).exists():\n        op.execute('SELECT pg_sleep(60)')"
    below = None
    for name, up in {
        "one": 'op.execute("CREATE TABLE t AS SELECT i AS n FROM generate_series(1, 1000) AS i")',
        "two": f'op.execute("UPDATE t SET n = 2 * n")\n    {wait}',
        "three": 'op.execute("CREATE INDEX t_n ON t (n)")',
    }.items():
        (folder / "versions" / f"{name}.py").write_text(REVISION.format(id=name, below=below, up=up))
        below = name
    return folder


def once(pair: Pair) -> tuple[float, float, float]:
    """Run one failover; return the seconds until the new writer, until the run continues, until its end."""
    with tempfile.TemporaryDirectory(prefix="dbschema-benchmark-") as folder:
        scripts = history(Path(folder))
        environ = {"DB_FAILOVER_SECONDS": "60", "DB_FAILOVER_HOSTS": PATTERN}
        settings = connect.resolve(pair.url("1"), environ=environ)
        begun: list[float] = []
        ended: list[float] = []

        def on_step(step: result.Step) -> None:
            if step.revision.id == "two" and not step.done:
                begun.append(perf_counter())

        def upgrade() -> None:
            run = runner.upgrade(settings, location=scripts, on_step=on_step)
            ended.append(perf_counter())
            assert [step.id for step in run.steps] == ["one", "two", "three"]

        thread = threading.Thread(target=upgrade)
        thread.start()
        while not pair.ask("1", SLEEPS):
            sleep(0.01)
        (scripts / "go").touch()
        start = perf_counter()
        pair.stop("1")
        pair.promote("2")
        promoted = perf_counter()
        thread.join()
        if not ended or pair.ask("2", "SELECT sum(n) FROM t") != 1_001_000:
            raise SystemExit("The upgrade did not end right on the new writer")
        return promoted - start, begun[-1] - start, ended[0] - start


def main() -> None:
    """Measure the rounds, each on its own pair of servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("round  | new writer | goes on | ends")
    rounds = []
    for number in range(1, arguments.rounds + 1):
        with Pair() as pair:
            rounds.append(once(pair))
        print(f"{number:6} | {rounds[-1][0]:10.3f} | {rounds[-1][1]:7.3f} | {rounds[-1][2]:.3f}", flush=True)
    middle = [median(column) for column in zip(*rounds, strict=True)]
    print(f"median | {middle[0]:10.3f} | {middle[1]:7.3f} | {middle[2]:.3f}")


if __name__ == "__main__":
    main()
