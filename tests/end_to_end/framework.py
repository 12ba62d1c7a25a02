"""CDK's provider framework as synthesis leaves it: its JavaScript under Node.js, and the machine that waits."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_service import ACCOUNT, REGION, arn_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from custom_resource import CloudFormation
    from lambda_service import LambdaService
    from synthesis import Assembly

DRIVER = Path(__file__).with_name("framework_driver.js")
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:waiter"
FUNCTION, IS_COMPLETE = "migration", "migration-is-complete"
HANDLERS = {FUNCTION: "lambda_entry.handler", IS_COMPLETE: "lambda_entry.is_complete"}


class HandlerFailed(Exception):
    """A handler of the framework has thrown."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["errorMessage"])
        self.error = error


class Framework:
    """The framework of one synthesised app.

    Args:
        assembly: what synthesis has left.
        node: the Node.js to run it with, and where its packages are.
        service: the functions that it calls; it gets the stand-in for Step Functions.
        cloudformation: what it answers.
        log: the file for what it prints.
    """

    def __init__(
        self,
        assembly: Assembly,
        node: tuple[str, Path],
        service: LambdaService,
        cloudformation: CloudFormation,
        log: Path,
    ) -> None:
        self._waiter = _definition(assembly)
        self.log = log
        self._lock = threading.Lock()
        self._pending: dict[str, Future[None]] = {}
        self._threads = ThreadPoolExecutor()
        self._under_way: list[Future[None]] = []
        service.other["AWSStepFunctions.StartExecution"] = self._start_execution
        answers, theirs = os.pipe()
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "of-the-framework",
            "AWS_ENDPOINT_URL": service.url,
            "NODE_PATH": str(node[1]),
            "NODE_EXTRA_CA_CERTS": str(cloudformation.authority),
            "NODE_NO_WARNINGS": "1",
            "CLOUDFORMATION_PORT": str(cloudformation.port),
            "FRAMEWORK": str(assembly.framework),
            "OUTCOMES": str(theirs),
            **_variables(assembly),
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [node[0], str(DRIVER)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[theirs],
            )
        os.close(theirs)
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def call(self, handler: str, event: dict[str, Any]) -> None:
        """Call a handler, and wait for it.

        Raises:
            HandlerFailed: it threw.
        """
        done: Future[None] = Future()
        call = str(uuid.uuid4())
        with self._lock:
            self._pending[call] = done
            assert self._process.stdin is not None
            self._process.stdin.write(
                json.dumps({"id": call, "handler": handler, "event": event}).encode() + b"\n"
            )
            self._process.stdin.flush()
        done.result(timeout=120)

    def start(self, target: Callable[..., None], *arguments: Any) -> None:
        """Begin something that `wait` waits for."""
        self._under_way.append(self._threads.submit(target, *arguments))

    def wait(self) -> None:
        """Until all has ended that was begun; what failed is raised."""
        while self._under_way:
            self._under_way.pop(0).result(timeout=120)

    def close(self) -> None:
        """End Node.js."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self, answers: int) -> None:
        with os.fdopen(answers) as lines:
            for line in lines:
                outcome = json.loads(line)
                done = self._pending.pop(outcome["id"])
                if "error" in outcome:
                    done.set_exception(HandlerFailed(outcome["error"]))
                else:
                    done.set_result(None)
        for done in self._pending.values():
            done.set_exception(AssertionError(f"Node.js has ended:\n{self.log.read_text()[-4000:]}"))

    def _start_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["stateMachineArn"] == MACHINE
        self.start(self._execute, json.loads(request["input"]))
        return {"executionArn": f"{MACHINE}:{uuid.uuid4()}", "startDate": 1_800_000_000}

    def _execute(self, event: dict[str, Any]) -> None:
        """Run the machine as it is defined: a task with retries, then what catches its failure. Nobody waits in between."""
        name: str | None = self._waiter["StartAt"]
        given: dict[str, Any] = event
        while name is not None:
            state = self._waiter["States"][name]
            assert state["Type"] == "Task"
            attempts = 1 + sum(retry["MaxAttempts"] for retry in state.get("Retry", ()))
            following = None
            for attempt in range(attempts):
                try:
                    self.call(state["Resource"], given)
                    break
                except HandlerFailed as failed:
                    if attempt + 1 < attempts:
                        continue
                    (catch,) = state["Catch"]
                    following = catch["Next"]
                    given = {"Error": failed.error["errorType"], "Cause": json.dumps(failed.error)}
            name = following


def _resources(assembly: Assembly, kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in assembly.resources("Migration", kind).items()}


def _variables(assembly: Assembly) -> dict[str, str]:
    """The environment of the framework's own function, with our names for what it refers to."""
    functions = _resources(assembly, "AWS::Lambda::Function")
    names = {
        each["Handler"]: logical
        for logical, each in functions.items()
        if each["Handler"] in HANDLERS.values()
    }
    (own,) = (each for each in functions.values() if each["Handler"] == "framework.onEvent")
    known = {
        json.dumps({"Fn::GetAtt": [names[handler], "Arn"]}): arn_of(name)
        for name, handler in HANDLERS.items()
    }
    known |= {
        json.dumps({"Ref": name}): MACHINE
        for name in _resources(assembly, "AWS::StepFunctions::StateMachine")
    }
    return {name: known[json.dumps(value)] for name, value in own["Environment"]["Variables"].items()}


def _definition(assembly: Assembly) -> dict[str, Any]:
    """The machine that waits; its tasks name the handlers of the framework."""
    functions = _resources(assembly, "AWS::Lambda::Function")
    (machine,) = _resources(assembly, "AWS::StepFunctions::StateMachine").values()
    separator, parts = machine["DefinitionString"]["Fn::Join"]
    found: dict[str, Any] = json.loads(
        separator.join(
            part if isinstance(part, str) else functions[part["Fn::GetAtt"][0]]["Handler"].rpartition(".")[2]
            for part in parts
        )
    )
    return found
