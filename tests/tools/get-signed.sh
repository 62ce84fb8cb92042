#!/usr/bin/env bash
# Unpacks what firmware boots from Debian 13 below target/signed: shim and GRUB that are signed for
# Secure Boot, of amd64 and arm64, and iPXE. Downloads from the mirror that this machine's apt
# is set up with; nothing is installed, and what is there already stays.
set -euo pipefail
signed=$(cd "$(dirname "$0")/../.." && pwd)/target/signed
. "$(dirname "$0")/other-release.sh"
mkdir -p "$signed"
exec 9>"$signed/lock"
flock 9
[ -e "$signed/snponly.efi" ] && exit 0

mirror=$(mirror)
work=$signed/work
rm -rf "$work" && mkdir -p "$work"/tree/{amd64,arm64}
configure "$work" trixie
echo 'APT::Architectures { "amd64"; "arm64"; };' >>"$work/apt.conf"
export APT_CONFIG=$work/apt.conf
apt-get -qq update
cd "$work"
apt-get -qq download {shim-signed,grub-efi-amd64-signed}:amd64 {shim-signed,grub-efi-arm64-signed}:arm64 ipxe:all
for package in ./*.deb; do
  arch=$(dpkg-deb -f "$package" Architecture)
  dpkg-deb -x "$package" "tree/${arch/all/arm64}"
done
cp tree/amd64/usr/lib/shim/shimx64.efi.signed "$signed/shimx64.efi"
cp tree/amd64/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed "$signed/grubx64.efi"
cp tree/amd64/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed "$signed/disk-grubx64.efi"
cp tree/arm64/usr/lib/shim/shimaa64.efi.signed "$signed/shimaa64.efi"
cp tree/arm64/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed "$signed/grubaa64.efi"
cp tree/arm64/usr/lib/ipxe/{ipxe-arm64.efi,undionly.kpxe,snponly.efi} "$signed/"
cd / && rm -rf "$work"
