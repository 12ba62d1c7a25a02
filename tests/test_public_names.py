"""What `dbschema` itself offers, and at which price."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dbschema


@pytest.mark.parametrize("name", dbschema.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dbschema, name) is not None
    assert name in dir(dbschema)


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dbschema.nothing  # type: ignore[attr-defined]  # the point of the test


def test_importing_the_package_alone_imports_not_even_sqlalchemy() -> None:
    program = "import sys, dbschema; raise SystemExit('sqlalchemy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
