#!/usr/bin/env bash
# Unpacks Debian packages below a directory without installing them: programs that the tests
# only let read files, and whose services must never start. Usage: fetch-tools.sh DIRECTORY
# PACKAGE... A package that cannot be had is said, and its tests are reported as skipped.
# RELEASE/PACKAGE is that of another Debian release, by the apt that get-trees.sh has made for it.
set -euo pipefail
directory=$1
shift
trees=$(cd "$(dirname "$0")/../.." && pwd)/target/trees
mkdir -p "$directory"
cd "$directory"
for wanted in "$@"; do
  package=${wanted#*/}
  [ ! -e "$package.unpacked" ] || continue
  unset APT_CONFIG
  [ "$wanted" = "$package" ] || export APT_CONFIG=$trees/${wanted%%/*}/apt.conf
  if (apt-get download -qq "$package" && dpkg -x "$package"_*.deb root) >"$package.log" 2>&1; then
    rm -f "$package"_*.deb "$package.log"
    touch "$package.unpacked"
  else
    echo "$package cannot be fetched, so what needs it is skipped: $(tail -n 1 "$package.log")"
  fi
done
