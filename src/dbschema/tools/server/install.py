"""What to install, said in the words of the system at hand."""

from __future__ import annotations

import platform
import sys
from typing import Final, Literal

System = Literal["debian", "fedora", "macos", "other"]

_FAMILIES: Final[dict[str, System]] = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
}


def this_system() -> System:
    """Return the family of this operating system; "other" if there are no instructions for it."""
    if sys.platform == "darwin":
        return "macos"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "other"
    for name in (release["ID"], *release.get("ID_LIKE", "").split()):
        if name in _FAMILIES:
            return _FAMILIES[name]
    return "other"


def how_to_install(major: int | None = None, system: System | None = None) -> str:
    """One sentence, without full stop, that names the packages of PostgreSQL with PostGIS.

    Args:
        major: the version that is wanted; None: the distribution's own.
        system: None: this one. "other" gets the sentences of all of them.
    """
    if major is None:
        debian = "apt-get install postgresql postgresql-postgis"
        fedora = "dnf install postgresql-server postgresql-contrib postgis"
        macos = "brew install postgresql@17 postgis"
    else:
        debian = f"apt-get install postgresql-{major} postgresql-{major}-postgis-3 (packages of other versions: apt.postgresql.org)"
        fedora = f"dnf install postgresql{major}-server postgresql{major}-contrib 'postgis3*_{major}' (packages of yum.postgresql.org)"
        macos = f"brew install postgresql@{major} postgis"
    if system is None:
        system = this_system()
    if system == "debian":
        return f"Install it with: {debian}"
    if system == "fedora":
        return f"Install it with: {fedora}"
    if system == "macos":
        return f"Install it with: {macos}"
    return f"Install it: on Debian and Ubuntu {debian}; on Fedora and RHEL {fedora}; on macOS {macos}"
