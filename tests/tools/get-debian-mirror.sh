#!/usr/bin/env bash
# Makes target/debian-mirror for the test that runs Debian's installer to its end: the installer's kernel and
# initrd (di), and a small repository of Debian 12 (repo) with the base system, a kernel, GRUB, an SSH server and the
# installer's own packages (udebs), signed with a key of its own (repo-key.gpg). All of it comes from the mirror that
# this machine's apt is set up with; nothing is installed, and what is there already stays.
#
# Mirrors for machines, not for installers, may lack udebs. What such a mirror lacks is made here: from the same
# release's packages or source where these have the same scripts, else from tests/tools/installer-parts. Their names
# are in target/debian-mirror/standins.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tools/../.." && pwd)/target/debian-mirror
. "$tools/other-release.sh"
mkdir -p "$root"
exec 9>"$root/lock"
flock 9
[ -e "$root/repo-key.gpg" ] && exit 0
release=bookworm
mirror=$(mirror)
[ -n "$mirror" ] || { echo "apt's sources name no Debian archive" >&2; exit 1; }
cd "$root"
rm -rf apt udeb-apt gnupg repo work standins
mkdir -p debs udebs di repo/pool work

configure "$root/apt" $release
echo "deb-src [signed-by=$keyring] $mirror $release main" >>apt/sources.list
of_debs() { APT_CONFIG=$root/apt/apt.conf "$@"; }
of_debs apt-get -qq update

if [ ! -e di/initrd.gz ]; then
  (cd work && of_debs apt-get -qq download debian-installer-12-netboot-amd64 && dpkg-deb -x debian-installer-*.deb tree)
  images=work/tree/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
  cp "$images/linux" di/linux
  cp "$images/initrd.gz" di/initrd.gz
fi
zcat di/initrd.gz | cpio -i --quiet --to-stdout var/lib/dpkg/status >work/status
abi=$(sed -n 's/^Package: kernel-image-\(.*\)-di$/\1/p' work/status)

# What debootstrap takes by its priority, and what the installer adds; closed over what they depend on.
base=$(of_debs apt-cache dumpavail | awk '/^Package:/ { name = $2 } /^Priority: (required|important)/ { print name }' | sort -u)
extra="linux-image-amd64 initramfs-tools busybox zstd grub-pc locales console-setup keyboard-configuration laptop-detect
  popularity-contest installation-report tasksel task-ssh-server openssh-server"
debs=$(of_debs apt-get -s install --no-install-recommends $base $extra | awk '/^Inst/ { print $2 }' | sort -u)
# debootstrap takes this one by name; apt would leave out what it conflicts with.
debs="$debs usr-is-merged"
(cd debs && of_debs apt-get -qq download $debs)

# The installer's own, resolved beside those that are in its initrd.
configure "$root/udeb-apt" $release
echo "deb [signed-by=$keyring] $mirror $release main/debian-installer" >udeb-apt/sources.list
cp work/status udeb-apt/status
of_udebs() { APT_CONFIG=$root/udeb-apt/apt.conf "$@"; }
of_udebs apt-get -qq update
udebs=$(of_udebs apt-get -s install base-installer bootstrap-base apt-mirror-setup clock-setup tzsetup-udeb user-setup-udeb partman-auto \
  partman-ext3 partman-target grub-installer os-prober-udeb pkgsel finish-install netcfg-static- "ext4-modules-$abi-di" "scsi-modules-$abi-di" |
  awk '/^Inst/ { print $2 }' | sort -u | grep -vxF "$(awk '/^Package:/ { print $2 }' work/status)" || true)
missing=()
for udeb in $udebs; do
  (cd udebs && of_udebs apt-get -qq download "$udeb" 2>/dev/null) || missing+=("$udeb")
done
if [ ${#missing[@]} -gt 0 ]; then
  printf '%s\n' "${missing[@]}" >standins
  echo "The mirror lacks ${#missing[@]} of the installer's packages; stand-ins for them: ${missing[*]}"
  . "$tools/installer-parts/make.sh"
fi

# An epoch has no place in a file name of a mirror, but apt-get download writes it.
for package in debs/*.deb udebs/*.udeb; do
  name=${package##*/}
  ln "$package" "repo/pool/$(sed 's/_[0-9]*%3a/_/' <<<"$name")"
done
# The archive overrides what packages say about their priority, which debootstrap goes by.
of_debs apt-cache show --no-all-versions $debs |
  awk '/^Package:/ { name = $2 } /^Priority:/ { priority = $2 } /^Section:/ { section = $2 } /^$/ { print name, priority, section }' >work/override
cd repo
index() {
  mkdir -p "dists/$release/main/$2"
  dpkg-scanpackages -t "$1" -m pool "$3" >"dists/$release/main/$2/Packages" 2>"$root/work/scan.log"
  gzip -9kn "dists/$release/main/$2/Packages"
}
index deb binary-amd64 "$root/work/override"
index udeb debian-installer/binary-amd64 /dev/null
cd "dists/$release"
# By this one choose-mirror sees that the mirror has the architecture.
printf '%s\n' "Archive: $release" "Origin: Debian" "Component: main" "Architecture: amd64" >main/binary-amd64/Release
{
  printf '%s\n' "Origin: Debian" "Label: test" "Suite: $release" "Codename: $release" "Version: 12" "Date: $(date -Ru)" \
    "Architectures: amd64" "Components: main" "SHA256:"
  find main -type f | sort | while read -r file; do
    printf ' %s %s %s\n' "$(sha256sum <"$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
  done
} >"$root/work/Release"
mv "$root/work/Release" .
export GNUPGHOME=$root/gnupg
mkdir -m 700 "$GNUPGHOME"
key() { gpg --batch --quiet --no-tty --pinentry-mode loopback --passphrase '' "$@"; }
key --quick-gen-key 'rackstrap test mirror' ed25519 sign never 2>/dev/null
key --detach-sign --armor -o Release.gpg Release
key --clearsign -o InRelease Release
key --export >"$root/work/repo-key.gpg"
gpgconf --kill all
rm -rf "$GNUPGHOME"
# Last: with the key everything is there.
mv "$root/work/repo-key.gpg" "$root/repo-key.gpg"
rm -rf "$root/work" "$root/apt" "$root/udeb-apt"
