#!/usr/bin/env bash
# Installs NetBox into a Python environment of its own, without a compiler: its driver of PostgreSQL as
# a wheel, and without what builds its documentation. It needs Python 3.12 or newer, which Debian 12
# has not: NETBOX_PYTHON names one.
# Usage: fetch-netbox.sh DIRECTORY VERSION
set -euo pipefail
directory=$1 version=$2
[ ! -e "$directory/installed" ] || [ "$(cat "$directory/installed")" != "$version" ] || exit 0
python=
for candidate in ${NETBOX_PYTHON:-} python3 python3.14 python3.13 python3.12; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ "$python" ] || { echo "NetBox $version needs Python 3.12 or newer: NETBOX_PYTHON names one" >&2; exit 1; }
"$python" -m venv --clear "$directory"
pip=("$directory/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" --no-deps "netbox==$version"
"$directory/bin/python" - >"$directory/requirements.txt" <<'EOF'
from importlib.metadata import requires
for line in requires('netbox'):
    if 'extra ==' not in line and not line.lower().startswith(('mkdocs', 'zensical')):
        print(line.replace('psycopg[c,pool]', 'psycopg[binary,pool]').replace('psycopg[pool,c]', 'psycopg[binary,pool]'))
EOF
"${pip[@]}" -r "$directory/requirements.txt"
echo "$version" >"$directory/installed"
