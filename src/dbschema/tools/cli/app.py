"""List all commands in the order of the help, and run the called one; each command imports its modules when it runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from dbschema.environment import Variable
from dbschema.tools.cli import adoption, checks, compiling, data, private, revisions, tenant
from dbschema.tools.cli.exit_codes import interrupted, run_command
from dbschema.tools.cli.parser import HELP, Flag, Group, reject, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dbschema.tools.cli.parser import Command

DEBUG: Final = Variable(
    "DBSCHEMA_DEBUG",
    "Show the traceback of an error: 1 or 0; as `--debug`.",
    reader="command line",
    default="0",
    example="1",
)

ROOT = Group(
    "dbschema",
    """The schema of a multi-tenant PostgreSQL database: upgrade it, check it, seed it.

    The database: --url, else DATABASE_URL, else an address from AWS (DB_SECRET_ARN, RDS_SECRET_ARN, DB_SSM_PREFIX),
    else a private server of this project, which starts on demand.

    Exit codes: 0 done, 1 a finding (a difference, a failed check, a pending revision), 2 a wrong call or an error.
    """,
    {
        "Database": private.COMMANDS,
        "Revisions": (*revisions.COMMANDS, *compiling.COMMANDS, *adoption.COMMANDS),
        "Checks": checks.COMMANDS,
        "Data": (*data.COMMANDS, *tenant.COMMANDS),
    },
    flags={
        "debug": Flag("--debug", f"Show the traceback of an error; {DEBUG}."),
        "version": Flag("--version", "Show the version."),
    },
)


def run(words: Sequence[str]) -> int:
    """Run the command line and return the exit code; an error is one line on standard error.

    Args:
        words: the arguments of the program, without its name.
    """
    debug = False

    def set_debug(on: bool) -> None:
        nonlocal debug
        debug = on

    def command() -> int:
        try:
            return _run(words, os.environ, set_debug)
        except KeyboardInterrupt:
            return interrupted()

    return run_command(command, debug=lambda: debug)


def _run(words: Sequence[str], environ: Mapping[str, str], set_debug: Callable[[bool], None]) -> int:
    path, rest = ROOT.name, list(words)
    command: Command | Group = ROOT
    while isinstance(command, Group):
        flags, rest = command.leading(rest, path)
        if command is ROOT:
            set_debug(bool(flags.get("debug")) or _debug_from(environ))
        if flags.get(HELP):
            return _show_help(command, path)
        if flags.get("version"):
            return _show_version()
        if not rest:
            _show_help(command, path)
            if command is not ROOT:
                reject(path, "Missing command")
            return 0
        name = rest.pop(0)
        command, path = command.find(name, path), f"{path} {name}"
    arguments = command.call(rest, path, environ)
    if arguments is None:
        return _show_help(command, path)
    return command.run(**arguments) or 0


def _debug_from(environ: Mapping[str, str]) -> bool:
    text = environ.get(DEBUG, "").strip()
    try:
        return bool(text) and truth(text)
    except ValueError as error:
        reject(ROOT.name, f"Invalid value for '{DEBUG}': {error}")


def _show_help(command: Command | Group, path: str) -> int:
    from dbschema.tools.cli import help  # noqa: A004, PLC0415  imports Rich

    sys.stdout.write(help.text(command, path))
    return 0


def _show_version() -> int:
    from importlib.metadata import version  # noqa: PLC0415  slow to import, and few calls need it

    sys.stdout.write(f"dbschema {version('dbschema')}\n")
    return 0
