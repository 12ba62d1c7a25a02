"""How the function behaves, by variables of its environment.

The database of one call, with what is left of its time for a limit: of the wait until it wakes, and of each session.
"""

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
    "Who answers CloudFormation: `provider` for CDK's provider framework, `direct` for the function itself.",
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
    "For tests: whether the answer to CloudFormation may go to this machine without TLS: 1.",
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
    """The choices of one function.

    Args:
        allow_downgrade: whether revisions may be taken back.
        scripts: of an application that has revisions of its own, absolute or within the archive: its `alembic.ini`, or a
            folder with `env.py` and `versions/`; None: those of dbschema.
        models: of that application, as `dbschema.tools.application` reads them; None: those of dbschema.
        compare: whether a database that came to the head is compared with the models; its findings are told, and no error.
        tracing: whether X-Ray gets a subsegment for each call.
    """

    allow_downgrade: bool = False
    scripts: Path | None = None
    models: str | None = None
    compare: bool = True
    tracing: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Configuration:
        """What the variables say; an empty one says nothing.

        Raises:
            BadSetting: names the variable.
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
    """Who answers CloudFormation: CDK's provider framework, or this function itself.

    An event does not tell: the framework passes on the address for the answer, too. This is read by itself and first,
    because whatever is wrong with the other variables has to be answered.

    Raises:
        BadSetting: the variable is neither.
    """
    text = Variables(environ).get(MODE, "").strip().lower()
    if text in {"", "provider"}:
        return "provider"
    if text == "direct":
        return "direct"
    raise function_setting(MODE, "provider or direct")


def who_answers(
    *, called_directly: bool, environ: Mapping[str, str] | None = None
) -> tuple[Mode, BadSetting | None]:
    """Who answers CloudFormation, and what is wrong with the setting that should say so.

    Args:
        called_directly: whether the event names this function as the one that CloudFormation calls. Then nobody else answers,
            whatever the setting says; where it names another one, that may be the framework, or an alias for this one.
        environ: the variables; None: those of this process.
    """
    try:
        said = mode(environ)
    except BadSetting as error:
        return ("direct" if called_directly else "provider"), error
    if called_directly and said != "direct":
        why = "says that CDK's provider framework answers, and CloudFormation calls this function itself"
        return "direct", function_setting(MODE, "direct", why)
    return said, None


def local_response(environ: Mapping[str, str] | None = None) -> bool:
    """Whether answers may go to this machine without TLS, for tests."""
    return Variables(environ).get(LOCAL_RESPONSE) == "1"


def _scripts(environ: Mapping[str, str]) -> Path | None:
    text = environ.get(SCRIPTS, "").strip()
    if not text:
        return None
    from dbschema.migrations.errors import BrokenScripts  # noqa: PLC0415  most functions have none
    from dbschema.migrations.location import application  # noqa: PLC0415  as above

    try:
        # Of the archive, whatever the working directory is.
        return application(Path(environ.get(_ROOT, ""), text))
    except BrokenScripts as error:
        raise function_setting(
            SCRIPTS,
            "an alembic.ini, or a folder with env.py and versions/, as the archive has it",
            f"names {text!r}, which is none",
        ) from error


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text not in _FLAGS:
        raise function_setting(name, "1 or 0")
    return _FLAGS[text]
