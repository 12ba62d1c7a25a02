"""Measure a cold start of the function until its response, with nothing to upgrade, as a ratio to a bare function.

    python benchmarks/lambda.py [--rounds 15] [--archive dist/lambda-x86_64.zip]

Each run is a whole process: `awslambdaric` with a stand-in for Lambda's Runtime API, on the unpacked archive, from its start until
its first response. The bare function has the same archive and only runs `psycopg.connect` and a select of the version. Runs of
both are interleaved. The output has the ratio of their medians, once with DATABASE_URL for both, once with a secret from a
stand-in for Secrets Manager, which the bare function reads with boto3; and each as delivered, where Python compiles the modules
in each process as in Lambda's read-only folder, and with compiled modules. Without --archive an archive is built for
the current interpreter; with --archive it must be for that interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import boto3
import psycopg

from dbschema.migrations import runner
from dbschema.tools.server import PrivateServer

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "end_to_end")]

import archives  # noqa: E402  found by the line above

from lambda_runtime import Function  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 1.5
REGION = "eu-central-2"
DATABASE = "dbschema_benchmark_lambda"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "of-no-account",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
BARE = """
import json
import os

import psycopg

if secret := os.environ.get("DB_SECRET_ARN"):
    import boto3


def handler(event, context):
    if secret:
        client = boto3.client("secretsmanager")
        found = json.loads(client.get_secret_value(SecretId=secret)["SecretString"])
        where = {
            "host": os.environ["DB_HOST"],
            "port": os.environ["DB_PORT"],
            "dbname": os.environ["DB_NAME"],
            "user": found["username"],
            "password": found["password"],
        }
    else:
        where = {"conninfo": os.environ["DATABASE_URL"]}
    with psycopg.connect(**where) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return {"statusCode": 200, "body": json.dumps({"revision": row[0]})}
"""


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Start a stand-in for Secrets Manager; yield its address."""
    log = folder / "moto.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        before = "Running on http://127.0.0.1:"
        while before not in log.read_text():
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        url = f"http://127.0.0.1:{log.read_text().rpartition(before)[2].split()[0]}"
        urllib.request.urlopen(f"{url}/moto-api/data.json").close()
        yield url
    finally:
        process.kill()
        process.wait()


def once(task_root: Path, runtime: Path, environment: dict[str, str], handler: str) -> float:
    """Measure the seconds from the start of a process to its first response."""
    function = Function(
        task_root,
        {**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        handler=handler,
        python=archives.interpreter().path,
        path=(runtime,),
        options=("-S",),
    )
    begun = time.perf_counter()
    answer = function.invoke({})
    seconds = time.perf_counter() - begun
    log = function.everything
    function.stop()
    if answer.failed or answer.payload["statusCode"] != 200:
        sys.exit(f"{handler} failed: {answer.payload}\n{log}")
    return seconds


def measure(task_root: Path, runtime: Path, environment: dict[str, str], rounds: int) -> tuple[float, float]:
    """Return the medians of both functions."""
    times: dict[str, list[float]] = {"bare.handler": [], "lambda_entry.handler": []}
    for _ in range(rounds):
        for handler, seconds in times.items():
            seconds.append(once(task_root, runtime, environment, handler))
    bare, ours = map(median, times.values())
    return bare, ours


def prepare(archive: Path | None, folder: Path) -> tuple[dict[str, Path], Path]:
    """Unpack the archive, as delivered and with compiled modules, and the runtime beside it."""
    found = archive or archives.build(archives.interpreter().target, folder)
    size = 0
    places = {}
    for name in ("as delivered", "compiled"):
        places[name] = archives.unpack(found, folder / name.replace(" ", "-"))
        size = sum(path.stat().st_size for path in places[name].rglob("*") if path.is_file())
        (places[name] / "bare.py").write_text(BARE)
    archives.compile_all(places["compiled"])
    runtime = archives.runtime(folder / "runtime")
    archives.compile_all(runtime)
    print(f"{found.name}: {size / 1e6:.1f} MB unpacked (at most {archives.builder().LIMIT / 1e6:.0f})")
    return places, runtime


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--archive", type=Path, help="an archive for this machine and this interpreter")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbschema-lambda-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # if root starts it, the server runs as another user, who needs access
        places, runtime = prepare(arguments.archive, folder)
        server = PrivateServer(folder / "server", options={"fsync": "off"})
        try:
            address = server.start()
            with psycopg.connect(address.url("postgres", driver=""), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            runner.upgrade(address.url(DATABASE, driver="psycopg"))
            with moto(folder) as url:
                session = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "of-no-account", region_name=REGION)
                secret = session.client("secretsmanager", endpoint_url=url).create_secret(
                    Name="benchmark",
                    SecretString=json.dumps({"username": address.user, "password": address.password}),
                )
                settings = {
                    "DATABASE_URL": {"DATABASE_URL": address.url(DATABASE, driver="")},
                    "DB_SECRET_ARN": {
                        **CREDENTIALS,
                        "AWS_ENDPOINT_URL": url,
                        "DB_SECRET_ARN": secret["ARN"],
                        "DB_HOST": address.host,
                        "DB_PORT": str(address.port),
                        "DB_NAME": DATABASE,
                    },
                }
                print(f"Python {archives.interpreter().version}, medians of {arguments.rounds}, bar {BAR}")
                print("address       | modules      | bare s | ours s | ratio")
                for source, environment in settings.items():
                    for state, task_root in places.items():
                        bare, ours = measure(task_root, runtime, environment, arguments.rounds)
                        ratio = ours / bare
                        print(f"{source:13} | {state:12} | {bare:6.3f} | {ours:6.3f} | {ratio:5.2f}")
        finally:
            server.destroy()


if __name__ == "__main__":
    main()
