#!/usr/bin/env bash
# Installs the Debian packages of the servers that the benchmark compares with, and sees to
# it that none of them starts: neither now (policy-rc.d) nor at the next boot (masked units).
set -euo pipefail
cd "$(dirname "$0")/../.."
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
missing=()
for package in "$@"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${as_root[@]}" rm -f '$policy EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
fi
if [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    case $package in
      kea-dhcp4-server | isc-dhcp-server | tftpd-hpa) "${as_root[@]}" systemctl mask "$package" ;;
      nginx-light) "${as_root[@]}" systemctl mask nginx ;;
    esac
  done
fi
tests/tools/install-packages.sh "${missing[@]}"
