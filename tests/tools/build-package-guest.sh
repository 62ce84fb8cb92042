#!/usr/bin/env bash
# Builds a small Debian of this machine's release for a guest that installs packages: an initramfs with
# systemd, dpkg and what a client of DHCP needs. Usage: build-package-guest.sh DIRECTORY, which then has
# vmlinuz and initrd.img. What is there already stays.
set -euo pipefail
directory=$1
packages=systemd-sysv,udev,kmod,iproute2,curl,busybox,udhcpc,debconf,ipxe,linux-image-cloud-amd64
stamp=$directory/$(sha256sum <"$0" | cut -c1-16)
[ ! -e "$stamp" ] || exit 0
rm -rf "$directory" && mkdir -p "$directory"
tree=$directory/tree
. /etc/os-release
sources=()
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  if grep -qE '^(deb |URIs:)' "$file" 2>/dev/null; then sources=("$file"); break; fi
done
options=()
while read -r line; do options+=("--aptopt=${line%;}"); done < <(
  apt-config dump | grep -E '^Acquire::(http::Proxy|https::Proxy|Check-Valid-Until) ' || true)
for path in '/usr/share/locale/*' '/boot/System.map*' \
  '/lib/modules/*/kernel/drivers/net/ethernet/*' '/lib/modules/*/kernel/fs/*' '/lib/modules/*/kernel/drivers/infiniband/*'; do
  options+=("--dpkgopt=path-exclude=$path")
done
SOURCE_DATE_EPOCH=1 mmdebstrap --mode=root --variant=minbase --format=directory --quiet \
  '--aptopt=Apt::Install-Recommends "false"' "${options[@]}" --include="$packages" "$VERSION_CODENAME" "$tree" "${sources[@]}"
cp "$tree"/boot/vmlinuz-* "$directory/vmlinuz"
rm -rf "$tree"/usr/share/{doc,man,info} "$tree"/boot/* "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/*
ln -sf /lib/systemd/systemd "$tree/init"
# Neither waits for a network, nor asks.
rm -f "$tree"/etc/systemd/system/multi-user.target.wants/*.timer
ln -sf /dev/null "$tree/etc/systemd/system/systemd-networkd-wait-online.service"
(cd "$tree" && find . -print0 | cpio --null --create --format=newc --quiet) | gzip -1 >"$directory/initrd.img"
rm -rf "$tree"
touch "$stamp"
