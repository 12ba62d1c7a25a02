#!/bin/sh
# Writes requirements/*.txt anew from pyproject.toml: exact versions with the hashes of PyPI's files,
# one resolution for Python 3.11 to 3.14, x86-64 and arm64, Linux and macOS. No address gets into them.
# Arguments are handed to uv, such as --upgrade or --upgrade-package=NAME.
set -eu

cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements/lock.txt

# Settings of this machine (indexes, folders with packages) must not decide what the project pins.
for name in $(env | sed -n 's/^\(\(UV\|PIP\)_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done

compile() {
    out=requirements/$1.txt
    shift
    "$venv/bin/uv" pip compile --no-config --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --only-binary :all: --quiet --output-file "$out" "$@" >/dev/null
}

compile lock --group lock "$@"
compile dev pyproject.toml --all-extras --group dev "$@"
compile runtime pyproject.toml --constraint requirements/dev.txt "$@"
compile infra pyproject.toml --all-extras --constraint requirements/dev.txt --group dev --group infra "$@"
# What the function in AWS Lambda imports, in the versions that were tested. Rich serves the command line only, and
# greenlet asyncio; boto3's own are in Lambda's runtime. A test sees that nothing that the function can reach is missing.
compile lambda --group lambda --constraint requirements/dev.txt \
    --no-emit-package botocore --no-emit-package python-dateutil --no-emit-package six --no-emit-package urllib3 "$@"
