#!/usr/bin/env bash
# Installs programs that read what we write for them into a Python environment of their own.
# Usage: fetch-python.sh DIRECTORY REQUIREMENT...
set -euo pipefail
directory=$1
shift
[ ! -e "$directory/installed" ] || [ "$(cat "$directory/installed")" != "$*" ] || exit 0
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check "$@"
echo "$*" >"$directory/installed"
