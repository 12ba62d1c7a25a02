"""A reset of the private server reaches the private server, whatever the environment says of others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from dbschema.tools.server import PrivateServer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_reset_is_not_led_to_another_server_by_the_environment(tmp_path: Path) -> None:
    """PGHOSTADDR goes before the host of an address: 127.0.0.9 is somebody else, or nobody."""
    tmp_path.chmod(0o755)
    server = PrivateServer(tmp_path / "home", options={"fsync": "off"})
    environment = {**os.environ, "DBSCHEMA_HOME": str(tmp_path / "home"), "PGHOSTADDR": "127.0.0.9"}
    try:
        done = [
            subprocess.run(
                [sys.executable, "-m", "dbschema", *arguments],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            for arguments in (["up", "--no-seed"], ["reset", "--yes"], ["check"])
        ]
    finally:
        server.destroy()

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
