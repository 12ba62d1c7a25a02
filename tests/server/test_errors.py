"""Every error of the server is one line that ends with the next step."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from dbschema.errors import ServerError
from dbschema.server import errors

PLACE = Path("/the place")
EXAMPLES: list[ServerError] = [
    errors.PostgresMissing("Install it"),
    errors.PostgresTooOld("14.1", PLACE, 15, "Install it"),
    errors.PostgisMissing("15.1", PLACE, "Install it"),
    errors.BadBinaries(PLACE, "nothing is there"),
    errors.OtherMajor(PLACE, 14, [], "Install it"),
    errors.NotWritable(PLACE, "Read-only file system"),
    errors.DiskFull(PLACE, "No space left on device"),
    errors.BadHome(Path("/with\nbreak"), "it has a line break"),
    errors.NotOurs(PLACE, "no marker"),
    errors.BelongsToOther(PLACE, "somebody"),
    errors.NoAccount("there is none", "Make one"),
    errors.ServerBusy(PLACE, None, 3.0),
    errors.BadSetting("port", "it is decided"),
    errors.NotRunning(PLACE),
    errors.InitFailed(PLACE, "it broke"),
    errors.StartFailed(PLACE, PLACE, "it broke"),
    errors.StopFailed(7, PLACE, 60.0),
    errors.NoConnection("127.0.0.1:1", "refused", PLACE),
    errors.PasswordLost(PLACE),
]


def test_every_error_has_an_example_here() -> None:
    own = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }

    assert {type(example) for example in EXAMPLES} == own


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_with_a_next_step(error: ServerError) -> None:
    text = str(error)

    assert isinstance(error, ServerError)
    assert "\n" not in text
    assert text == f"{error.what}. {error.next_step}."
    assert not error.what.endswith(".")
    assert not error.next_step.endswith(".")
    assert error.what[0].isupper() or error.what.startswith("/")
    assert error.next_step[0].isupper()


def test_the_import_takes_the_standard_library_only() -> None:
    script = (
        "import sys, dbschema; before = set(sys.modules); import dbschema.server;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() in ([], ["dbschema"])
