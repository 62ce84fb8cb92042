#!/usr/bin/env bash
# Unpacks the systemd of other Debian releases below target/trees, for the tests that run
# networkd in several versions: target/trees/247 of Debian 11 and target/trees/257 of Debian 13.
# Downloads from the mirror that this machine's apt is set up with; nothing is installed,
# and what is there already stays. Beside each tree lies its apt.conf, with which
# `APT_CONFIG=... rackstrap lab --build-image` makes a guest of that release.
set -euo pipefail
trees=$(cd "$(dirname "$0")/../.." && pwd)/target/trees
mkdir -p "$trees"
exec 9>"$trees/lock"
flock 9

. "$(dirname "$0")/other-release.sh"

unpack() {
  local directory=$1 tree=$2 names
  export APT_CONFIG=$directory/apt.conf
  apt-get -qq update
  # The libraries that systemd is linked with; what else it depends on is not needed to run it.
  names=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances systemd udev | grep -E '^(lib|zlib)' | sort -u)
  rm -rf "$directory/debs" && mkdir "$directory/debs"
  (cd "$directory/debs" && apt-get -qq download systemd udev $names)
  mkdir -p "$tree"/usr/{bin,sbin,lib,lib64} "$tree"/{dev,etc/systemd/network,proc,run,sys,tmp,var}
  for name in bin sbin lib lib64; do ln -sfn "usr/$name" "$tree/$name"; done
  for package in "$directory"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$tree"
  done
  printf 'root:x:0:0::/:/bin/sh\nsystemd-network:x:998:998::/:/bin/sh\n' >"$tree/etc/passwd"
  printf 'root:x:0:\nsystemd-network:x:998:\n' >"$tree/etc/group"
  # networkd makes MACs of it.
  echo 0123456789abcdef0123456789abcdef >"$tree/etc/machine-id"
  rm -rf "$directory/debs"
}

get() {
  local version=$1 release=$2 directory=$trees/$2
  [ ! -d "$trees/$version" ] || return 0
  echo "Unpacking systemd $version of Debian's $release into target/trees/$version"
  mirror=${mirror:-$(mirror)}
  [ -n "$mirror" ] || { echo "apt's sources name no Debian archive" >&2; return 1; }
  rm -rf "$directory"
  configure "$directory" "$release"
  # In its place when it is whole: an interrupted run leaves nothing that looks finished.
  unpack "$directory" "$directory/tree"
  mv "$directory/tree" "$trees/$version"
}

mirror=
get 247 bullseye
get 257 trixie
