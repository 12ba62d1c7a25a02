#!/bin/sh
# Installs dist/*.whl with its dependencies from the index into an empty environment outside the checkout, and tests it
# there: import, private server, an upgrade of another database, clean stop. Leaves nothing behind.
set -eu

cd "$(dirname "$0")/.."
dist=$PWD/dist
venv=${VENV:-.venv}

work=$(mktemp -d)
# If root starts it, the server runs as another user, who needs access to its folder.
chmod 755 "$work"
finish() {
    [ ! -x "$work/venv/bin/dbschema" ] || "$work/venv/bin/dbschema" down --destroy >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

export DBSCHEMA_HOME="$work/home"
unset PYTHONPATH DATABASE_URL

"$venv/bin/python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "$dist"/*.whl
mkdir "$work/empty"
cd "$work/empty"
PATH=$work/venv/bin:$PATH

python -c 'from dbschema.models import Incident; print(Incident.__module__, Incident.__tablename__)'
dbschema up
dbschema verify
other=$(python - "$(dbschema url)" <<'PYTHON'
import sys, urllib.parse
import psycopg

url = sys.argv[1]
with psycopg.connect(url, autocommit=True) as connection:
    connection.execute("CREATE DATABASE another")
print(urllib.parse.urlsplit(url)._replace(path="/another").geturl())
PYTHON
)
dbschema upgrade --url "$other"
dbschema check --url "$other"
dbschema down --destroy
