"""Cold start to answer: whole processes under `awslambdaric`, as ratios to a function that does only connect and select.

    python benchmarks/lambda.py [--rounds 15] [--archive dist/lambda-x86_64.zip] [--python /path/to/python3.13]

Each run is a new process: interpreter, runtime client, imports, one event, its answer, over the Runtime API's stand-in of the
tests. Runs are interleaved, and the medians of their ratios printed. Without --archive the checkout is run, as it stands;
with it the archive, unpacked, by an interpreter of its version that has `awslambdaric`; its size is printed too. The database is a
private server's, in a temporary folder, at the head.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from dbschema.migrations import runner
from dbschema.server import PrivateServer
from lambda_runtime import ROOT, Function

if TYPE_CHECKING:
    from collections.abc import Callable

BARE = """
import os
import psycopg

def handler(event, context):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return {"statusCode": 200, "body": row[0]}
"""
BAR = 1.5
SIZE_BAR = 45.0
DELETE = {"tf": {"action": "delete", "prev_input": {}}}


def seconds(make: Callable[[], Function], event: Any) -> float:
    """From the start of a process to its answer."""
    function = make()
    began = perf_counter()
    answer = function.invoke(event)
    taken = perf_counter() - began
    function.stop()
    if answer.failed:
        raise SystemExit(f"The function failed: {answer.payload}")
    return taken


def unpacked(archive: Path | None, folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Where the function is, and what else it needs on its path."""
    if archive is None:
        return ROOT, (ROOT / "src",)
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
        sizes = {one.filename.partition("/")[0]: 0 for one in file.infolist()}
        for one in file.infolist():
            sizes[one.filename.partition("/")[0]] += one.file_size
    aws = {"boto3", "botocore", "s3transfer"}
    total = sum(size for name, size in sizes.items() if name.partition("-")[0] not in aws) / 1e6
    print(f"{archive.name}: {total:.1f} MB unpacked without boto3 (bar {SIZE_BAR:g})")
    return folder, ()


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dbschema-benchmark-"))
    folder.chmod(0o755)  # started by root, the server runs as another user
    server = PrivateServer(folder / "server")
    try:
        url = server.start().url(driver="")
        runner.upgrade(url)
        root, path = unpacked(arguments.archive, folder / "archive")
        bare = folder / "bare"
        bare.mkdir()
        (bare / "bare.py").write_text(BARE)
        variables = {"DATABASE_URL": url}
        # The same libraries for both: those of the archive, where one is measured.
        others = path or (root,)
        kinds: dict[str, tuple[Callable[[], Function], Any]] = {
            "bare": (
                lambda: Function(
                    bare, variables, handler="bare.handler", python=arguments.python, path=others
                ),
                {},
            ),
            "empty upgrade": (lambda: Function(root, variables, python=arguments.python, path=path), {}),
            "deletion": (lambda: Function(root, variables, python=arguments.python, path=path), DELETE),
        }
        taken: dict[str, list[float]] = {name: [] for name in kinds}
        for make, event in kinds.values():
            seconds(make, event)  # compiles and warms the caches of the disk
        for _ in range(arguments.rounds):
            for name, (make, event) in kinds.items():
                taken[name].append(seconds(make, event))
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    for name, times in taken.items():
        ratio = median(one / base for one, base in zip(times, taken["bare"], strict=True))
        bar = f" (bar {BAR:g})" if name == "empty upgrade" else ""
        print(f"{name:14} {median(times) * 1000:6.0f} ms  {ratio:5.2f}{bar}")


if __name__ == "__main__":
    main()
