"""Every error of the server is one line that ends with the next step."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from dbschema.errors import BadSetting, DbSchemaError, ServerError
from dbschema.tools.server import errors

PLACE = Path("/the place")
EXAMPLES: dict[str, DbSchemaError] = {
    "postgres_missing": errors.postgres_missing("Install it"),
    "postgres_too_old": errors.postgres_too_old("14.1", PLACE, 15, "Install it"),
    "postgis_missing": errors.postgis_missing("15.1", PLACE, "Install it"),
    "bad_binaries": errors.bad_binaries(PLACE, "nothing is there"),
    "OtherMajor": errors.OtherMajor(PLACE, 14, [], "Install it"),
    "not_writable": errors.not_writable(PLACE, "Read-only file system"),
    "disk_full": errors.disk_full(PLACE, "No space left on device"),
    "bad_home": errors.bad_home(Path("/with\nbreak"), "it has a line break"),
    "not_ours": errors.not_ours(PLACE, "no marker"),
    "belongs_to_other": errors.belongs_to_other(PLACE, "somebody"),
    "no_os_user": errors.no_os_user("there is none", "Make one"),
    "ServerBusy": errors.ServerBusy(PLACE, None, 3.0),
    "bad_setting": errors.bad_setting("port", "it is decided"),
    "NotRunning": errors.NotRunning(PLACE),
    "init_failed": errors.init_failed(PLACE, "it broke"),
    "start_failed": errors.start_failed(PLACE, PLACE, "it broke"),
    "stop_failed": errors.stop_failed(7, PLACE, 60.0),
    "NoConnection": errors.NoConnection("127.0.0.1:1", "refused", PLACE),
    "password_lost": errors.password_lost(PLACE),
}


def test_every_error_has_an_example_here() -> None:
    own = {
        name: value
        for name, value in vars(errors).items()
        if getattr(value, "__module__", "") == errors.__name__
    }
    functions = {name for name, value in own.items() if inspect.isfunction(value)}
    classes = {value for value in own.values() if inspect.isclass(value)}

    assert functions == {name for name in EXAMPLES if name.islower()}
    assert classes == {type(example) for example in EXAMPLES.values()} - {ServerError, BadSetting}


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=EXAMPLES)
def test_an_error_is_one_line_with_a_next_step(error: DbSchemaError) -> None:
    text = str(error)

    assert isinstance(error, ServerError | BadSetting)
    assert "\n" not in text
    assert text == f"{error.what}. {error.next_step}."
    assert not error.what.endswith(".")
    assert not error.next_step.endswith(".")
    assert error.what[0].isupper() or error.what.startswith("/")
    assert error.next_step[0].isupper()


def test_the_import_takes_the_standard_library_only() -> None:
    script = (
        "import sys, dbschema; before = set(sys.modules); import dbschema.tools.server;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() in ([], ["dbschema"])
