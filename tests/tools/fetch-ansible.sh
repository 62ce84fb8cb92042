#!/usr/bin/env bash
# Installs Ansible, which reads the inventory, into a Python environment of its own.
# Usage: fetch-ansible.sh DIRECTORY
set -euo pipefail
directory=$1
[ ! -e "$directory/installed" ] || exit 0
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check 'ansible-core>=2.15,<2.18'
touch "$directory/installed"
