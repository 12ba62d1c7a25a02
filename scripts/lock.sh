#!/bin/sh
# Writes requirements/*.txt again from pyproject.toml: exact versions with the hashes of PyPI's files,
# one resolution for Python 3.11 to 3.14, x86-64 and arm64, Linux and macOS. The files contain no URL.
# Arguments are passed to uv, such as --upgrade or --upgrade-package=NAME.
set -eu

cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements/lock.txt

# Settings of this machine (indexes, folders with packages) must not influence the pins.
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
# The imports of the function in AWS Lambda, in the tested versions. Only the command line uses Rich, and only asyncio
# uses greenlet; Lambda's runtime has boto3 and its dependencies. A test checks that no import of the function is missing.
compile lambda --group lambda --constraint requirements/dev.txt \
    --no-emit-package botocore --no-emit-package python-dateutil --no-emit-package six --no-emit-package urllib3 "$@"
