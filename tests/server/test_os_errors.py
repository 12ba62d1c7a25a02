"""Failures of files and programs come out as errors that name the thing, the place and the next step."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dbschema.errors import ServerError
from dbschema.tools.server.errors import BadHome
from dbschema.tools.server.os_errors import cause_in, last_complaint, os_errors

HOME = Path("/srv/project/.dbschema")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "There is not enough room"),
        (errno.EDQUOT, "There is not enough room"),
        (errno.EACCES, "The private server cannot write in"),
        (errno.EPERM, "The private server cannot write in"),
        (errno.EROFS, "The private server cannot write in"),
        (errno.ENOTDIR, "The private server cannot use"),
        (errno.EIO, "The private server cannot use"),
    ],
)
def test_an_error_of_the_system_keeps_its_place_and_cause(number: int, expected: str) -> None:
    cause = OSError(number, os.strerror(number), "/the/place")

    with pytest.raises(BadHome, match=f"^{expected} .*/the/place") as caught, os_errors(HOME):
        raise cause

    assert caught.value.__cause__ is cause
    assert os.strerror(number) in str(caught.value)


def test_an_error_without_a_place_is_one_of_the_home() -> None:
    for place in (None, 7):
        with pytest.raises(BadHome, match="not enough room") as caught, os_errors(HOME):
            raise OSError(errno.ENOSPC, "full", place)

        assert caught.value.path == HOME


def test_our_own_errors_pass() -> None:
    with pytest.raises(ServerError, match="ours"), os_errors(HOME):
        raise ServerError("ours", "pass")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            'FATAL:  could not write lock file "postmaster.pid": No space left on device',
            "There is not enough room",
        ),
        ("sh: 1: cannot create /x: Read-only file system", "The private server cannot write in"),
        (
            'FATAL:  could not create lock file "postmaster.pid": Permission denied',
            "The private server cannot write in",
        ),
        ("FATAL:  something else", None),
        ("", None),
    ],
)
def test_a_programs_output_tells_the_systems_reason(output: str, expected: str | None) -> None:
    found = cause_in(output, HOME)

    if expected is None:
        assert found is None
    else:
        assert isinstance(found, BadHome)
        assert found.what.startswith(expected)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", "it left no message"),
        ("first\nsecond.\n\n", "second"),
        (
            "2026-01-01 00:00 UTC [7] LOG:  starting\n2026-01-01 00:00 UTC [7] FATAL:  the reason\nLOG:  shut down\n",
            "the reason",
        ),
        (
            'LOG:  unrecognized configuration parameter "x"\nFATAL:  configuration file "y" contains errors\n',
            'unrecognized configuration parameter "x"',
        ),
        ("creating files ... initdb: error: it broke\ninitdb: removing data\n", "it broke"),
    ],
)
def test_of_a_log_the_line_is_quoted_that_says_why(output: str, line: str) -> None:
    assert last_complaint(output) == line
