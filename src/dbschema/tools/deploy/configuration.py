"""The settings of the function, read from its environment variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dbschema.environment import Variable
from dbschema.errors import BadSetting
from dbschema.migrations.location import VARIABLE as SCRIPTS
from dbschema.secrecy import Variables
from dbschema.tools.application import named_models
from dbschema.tools.deploy.errors import function_setting

if TYPE_CHECKING:
    from collections.abc import Mapping


Mode = Literal["provider", "direct"]

MODE: Final = Variable(
    "DBSCHEMA_CLOUDFORMATION_MODE",
    "Which component responds to CloudFormation: `provider` (CDK's provider framework) or `direct` (the function itself).",
    reader="function",
    default="by the event",
    example="direct",
)
ALLOW_DOWNGRADE: Final = Variable(
    "DBSCHEMA_ALLOW_DOWNGRADE",
    "Whether an event may downgrade: 1 or 0.",
    reader="function",
    default="0",
    example="1",
)
COMPARE: Final = Variable(
    "DBSCHEMA_COMPARE",
    "Whether an upgrade is followed by the comparison with the models: 1 or 0.",
    reader="function",
    default="1, but 0 for an application's revisions without its models",
    example="0",
)
TRACING: Final = Variable(
    "DBSCHEMA_TRACING",
    "Whether the function traces with X-Ray: 1 or 0.",
    reader="function",
    default="0",
    example="1",
)
LOCAL_RESPONSE: Final = Variable(
    "DBSCHEMA_ALLOW_LOCAL_RESPONSE_URL",
    "For tests: whether the response to CloudFormation may be sent to this machine without TLS: 1.",
    reader="function",
    default="0",
    example="1",
)

_ROOT: Final = Variable(
    "LAMBDA_TASK_ROOT", "Set by AWS Lambda: the folder of the archive.", reader="function"
)
_FLAGS: Final = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True)
class Configuration:
    """The settings of the function.

    Args:
        allow_downgrade: whether an event may downgrade.
        scripts: the revisions of an application, as an absolute path or a path within the archive: its `alembic.ini`, or a
            folder with `env.py` and `versions/`; None: the revisions of dbschema.
        models: the models of the application, as `dbschema.tools.application` reads them; None: the models of dbschema.
        compare: whether a database at the head is compared with the models. Differences are reported; they are no error.
        tracing: whether each call gets a subsegment in X-Ray.
    """

    allow_downgrade: bool = False
    scripts: Path | None = None
    models: str | None = None
    compare: bool = True
    tracing: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Configuration:
        """Read the variables; an empty variable counts as not set.

        Raises:
            BadSetting: a variable has an invalid value; the message names the variable.
        """
        environ = Variables(environ)
        models = named_models(environ)
        scripts = _scripts(environ)
        return cls(
            allow_downgrade=_flag(environ, ALLOW_DOWNGRADE, default=False),
            scripts=scripts,
            models=models,
            compare=_flag(environ, COMPARE, default=scripts is None or models is not None),
            tracing=_flag(environ, TRACING, default=False),
        )


def mode(environ: Mapping[str, str] | None = None) -> Mode:
    """Read which component responds to CloudFormation: CDK's provider framework, or this function itself.

    The event cannot decide it: the framework also forwards the address for the response. This variable is read first and
    on its own, because an error in another variable needs a response too.

    Raises:
        BadSetting: the variable has another value.
    """
    text = Variables(environ).get(MODE, "").strip().lower()
    if text in {"", "provider"}:
        return "provider"
    if text == "direct":
        return "direct"
    raise function_setting(MODE, "provider or direct")


def responder_mode(
    *, called_directly: bool, environ: Mapping[str, str] | None = None
) -> tuple[Mode, BadSetting | None]:
    """Return which component responds to CloudFormation, and the error in the setting, if there is one.

    Args:
        called_directly: whether the event names this function as the function that CloudFormation calls. Then this function
            must respond, regardless of the setting. If the event names another function, that is the framework or an alias.
        environ: the variables; None: those of this process.
    """
    try:
        configured = mode(environ)
    except BadSetting as error:
        return ("direct" if called_directly else "provider"), error
    if called_directly and configured != "direct":
        why = "names CDK's provider framework, but CloudFormation calls this function itself"
        return "direct", function_setting(MODE, "direct", why)
    return configured, None


def local_response(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether responses may be sent to this machine without TLS, for tests."""
    return Variables(environ).get(LOCAL_RESPONSE) == "1"


def _scripts(environ: Mapping[str, str]) -> Path | None:
    text = environ.get(SCRIPTS, "").strip()
    if not text:
        return None
    from dbschema.migrations.errors import BrokenScripts  # noqa: PLC0415  few functions set it
    from dbschema.migrations.location import application  # noqa: PLC0415  as above

    try:
        # Relative to the archive, not to the working directory.
        return application(Path(environ.get(_ROOT, ""), text))
    except BrokenScripts as error:
        raise function_setting(
            SCRIPTS,
            "an alembic.ini, or a folder with env.py and versions/, in the archive",
            f"names {text!r}, which is neither",
        ) from error


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text not in _FLAGS:
        raise function_setting(name, "1 or 0")
    return _FLAGS[text]
