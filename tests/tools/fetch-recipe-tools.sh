#!/usr/bin/env bash
# Installs the checker of kickstart files into a Python environment of its own.
# Usage: fetch-recipe-tools.sh DIRECTORY
set -euo pipefail
directory=$1
[ ! -e "$directory/installed" ] || exit 0
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check 'pykickstart==3.*'
touch "$directory/installed"
