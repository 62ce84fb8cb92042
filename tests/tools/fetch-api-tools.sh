#!/usr/bin/env bash
# Installs the checkers of the API into a Python environment of their own: the description of the
# routes is validated, and the server is tested against it. Usage: fetch-api-tools.sh DIRECTORY
set -euo pipefail
directory=$1
[ ! -e "$directory/installed" ] || exit 0
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check \
    'openapi-spec-validator==0.9.*' 'schemathesis==4.32.*'
touch "$directory/installed"
