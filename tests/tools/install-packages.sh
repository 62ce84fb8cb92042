#!/usr/bin/env bash
# Installs the Debian packages among the arguments that are missing, and says which.
set -euo pipefail
find_missing() {
  local package status
  missing=()
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
  done
}
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # No recommended extras, and no service of theirs is started.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
"${as_root[@]}" apt-get update >"$log" 2>&1 || { cat "$log"; echo "apt-get update failed: is the network up?" >&2; exit 1; }
# apt-get removes what does not fit what it installs, such as a package of backports beside its neighbours of the release.
for pass in 1 2 3; do
  echo "These Debian packages are missing and will be installed now:"
  printf '  %s\n' "${missing[@]}"
  install || { tail -n 20 "$log"; echo "apt-get could not install: ${missing[*]}" >&2; exit 1; }
  find_missing "$@"
  [ ${#missing[@]} -gt 0 ] || exit 0
done
echo "apt-get installs one by removing another: ${missing[*]}" >&2
exit 1
