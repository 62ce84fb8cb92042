#!/usr/bin/env bash
# Installs the Debian packages among the arguments that are missing, and says which.
set -euo pipefail
missing=()
for package in "$@"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
echo "These Debian packages are missing and will be installed now:"
printf '  %s\n' "${missing[@]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # No recommended extras, and no service of theirs is started.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
"${as_root[@]}" apt-get update >"$log" 2>&1 || { cat "$log"; echo "apt-get update failed: is the network up?" >&2; exit 1; }
install || { tail -n 20 "$log"; echo "apt-get could not install: ${missing[*]}" >&2; exit 1; }
