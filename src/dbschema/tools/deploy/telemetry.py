"""The telemetry of the function: a log of JSON lines, metrics, and a trace if it is enabled.

AWS Lambda Powertools write all three; without them (a wheel without the extra) only the log is written. Their option to log
events is not used, because an event contains a signed address.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from dbschema.environment import Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbschema.tools.deploy.deadline import Deadline
    from dbschema.tools.deploy.result import Result

T = TypeVar("T")

log: Final = logging.getLogger("dbschema.tools.deploy")

NAME: Final = "dbschema"
_SERVICE: Final = Variable(
    "POWERTOOLS_SERVICE_NAME",
    "Of Powertools: the name of the service in logs, metrics and traces.",
    reader="function",
    default=NAME,
    example="shop-schema",
)
_NAMESPACE: Final = Variable(
    "POWERTOOLS_METRICS_NAMESPACE",
    "Of Powertools: the namespace of the metrics.",
    reader="function",
    default=NAME,
    example="shop",
)
_LEVELS: Final = (
    Variable(
        "POWERTOOLS_LOG_LEVEL",
        "Of Powertools: the level of the log.",
        reader="function",
        default="INFO",
        example="DEBUG",
    ),
    Variable(
        "AWS_LAMBDA_LOG_LEVEL",
        "Set by AWS Lambda: the level of the log, if POWERTOOLS_LOG_LEVEL is not set.",
        reader="function",
    ),
    Variable(
        "LOG_LEVEL",
        "The level of the log, if no other variable sets it.",
        reader="function",
        example="WARNING",
    ),
)


class Telemetry:
    """The telemetry of one process; `begin` and `end` are called for each event.

    Attributes:
        cold: whether the current call is the first call of the process.
    """

    def __init__(self) -> None:
        self.cold = True
        self._calls = 0
        self._handler: logging.Handler | None = None
        self._keys: dict[str, Any] = {}

    def begin(self, context: Any) -> None:
        """Configure the log of this package as JSON, with the id of the request in each line."""
        self.cold = self._calls == 0
        self._calls += 1
        self._keys = {
            "service": os.environ.get(_SERVICE) or NAME,
            "function_name": getattr(context, "function_name", None),
            "function_request_id": getattr(context, "aws_request_id", None),
            "cold_start": self.cold,
        }
        if self._handler is None:
            self._handler = _StandardOutput()
            package_log = logging.getLogger(NAME)
            package_log.addHandler(self._handler)
            package_log.setLevel(_level())
            # The handler of the runtime would write each line again, as text.
            package_log.propagate = False
        self._handler.setFormatter(_formatter(self._keys))

    def end(self, action: str, deadline: Deadline, result: Result | None) -> None:
        """Write the metrics of a call; `result` is None if the call failed."""
        try:
            from aws_lambda_powertools.metrics import Metrics, MetricUnit  # noqa: PLC0415  an extra

            metrics = Metrics(
                namespace=os.environ.get(_NAMESPACE) or NAME, service=os.environ.get(_SERVICE) or NAME
            )
            waited = 0.0 if result is None else result.waited
            applied = 0 if result is None else len(result.applied)
            metrics.add_dimension("action", action)
            metrics.add_metric("Duration", MetricUnit.Milliseconds, deadline.used * 1000)
            metrics.add_metric("LockWait", MetricUnit.Milliseconds, waited * 1000)
            metrics.add_metric("AppliedRevisions", MetricUnit.Count, applied)
            metrics.add_metric("Failures", MetricUnit.Count, result is None)
            metrics.add_metric("ColdStart", MetricUnit.Count, self.cold)
            metrics.add_metadata("function_request_id", self._keys.get("function_request_id") or "")
            metrics.flush_metrics()
        except ImportError:
            return
        except Exception as error:  # a failure to write metrics must not fail the call
            log.warning("No metrics were written: %s", type(error).__name__)


def traced(action: str, work: Callable[[], T], *, enabled: bool) -> T:
    """Call `work`, in a subsegment of X-Ray if `enabled`. A failure marks the subsegment with the error's class, not its text."""
    if not enabled:
        return work()
    failed: BaseException | None = None
    with ExitStack() as stack:
        subsegment = _subsegment(action, stack)
        try:
            result = work()
        except BaseException as error:
            with suppress(Exception):  # as for the metrics
                if subsegment is not None:
                    subsegment.put_annotation("error", type(error).__name__)
                    subsegment.add_fault_flag()
            failed = error  # raised outside the subsegment, which would record its text
    if failed is not None:
        raise failed
    return result


def _subsegment(action: str, stack: ExitStack) -> Any:
    """Open a subsegment until `stack` closes; return None if tracing is not possible."""
    try:
        from aws_lambda_powertools.tracing import Tracer  # noqa: PLC0415  an extra, and slow

        tracer = Tracer(service=os.environ.get(_SERVICE) or NAME, auto_patch=False)
        subsegment = stack.enter_context(tracer.provider.in_subsegment(name=f"## {action}"))
        subsegment.put_annotation("action", action)
    except ImportError as error:
        log.warning("No trace is made: %s is not installed; install dbschema[lambda]", error.name)
        return None
    except Exception as error:  # as for the metrics
        log.warning("No trace is made: %s", type(error).__name__)
        return None
    return subsegment


class _StandardOutput(logging.Handler):
    """Write to the current `sys.stdout` for each record, because the runtime replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream: TextIO = sys.stdout
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:
            self.handleError(record)


class _Plain(logging.Formatter):
    """Format a record as JSON without Powertools: level, location, message, time and the extra fields."""

    def __init__(self, keys: dict[str, Any]) -> None:
        super().__init__()
        self._keys = keys

    def format(self, record: logging.LogRecord) -> str:
        standard = logging.makeLogRecord({}).__dict__
        extra = {
            name: value for name, value in vars(record).items() if name not in standard and name != "message"
        }
        line = {
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": record.getMessage(),
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            **self._keys,
            **extra,
        }
        return json.dumps(line, ensure_ascii=True, default=str)


def _formatter(keys: dict[str, Any]) -> logging.Formatter:
    try:
        from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter  # noqa: PLC0415  an extra
    except ImportError:
        return _Plain(keys)
    return LambdaPowertoolsFormatter(utc=True, use_rfc3339=True, **keys)


def _level() -> int:
    for name in _LEVELS:
        level = logging.getLevelName(os.environ.get(name, "").strip().upper())
        if isinstance(level, int):
            return level
    return logging.INFO
