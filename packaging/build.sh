#!/usr/bin/env bash
# Builds packages out of a program that was compiled: build.sh FORMAT... with deb, rpm, tar, oci, sbom and
# sums, which is the last. They go to OUT (default target/package). The same program, commit and tools give the
# same bytes.
#
# BINARY      the program (default target/release/rackstrap)
# ARCH        amd64 or arm64 (default: that of this machine)
# STATIC      the same, statically linked, for the tarball (default: BINARY)
# NATIVE      a rackstrap that runs here, for man pages and completions (default: BINARY)
# VERSION     default: the tag, or the version in Cargo.toml with the number and name of the commit
# MAINTAINER  NAME <ADDRESS>, for the .deb and the .rpm
# SIGN_KEY    the key for SHA256SUMS.asc, as gpg names it; MINISIGN_KEY the file of one for SHA256SUMS.minisig
# XZ          options of the compressor of the .deb (default -Zxz); RPM_PAYLOAD that of the .rpm (default w6.xzdio)
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
binary=$(realpath "${BINARY:-target/release/rackstrap}")
static=$(realpath "${STATIC:-$binary}")
native=$(realpath "${NATIVE:-$binary}")
arch=${ARCH:-$(dpkg --print-architecture)}
out=$(realpath -m "${OUT:-target/package}")
maintainer=${MAINTAINER:-The rackstrap authors <rackstrap@packages.local>}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} LC_ALL=C TZ=UTC
umask 022
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# v1.2.0 is 1.2.0, five commits later 1.2.0+5.gHASH; before the first tag 0.1.0~COMMITS.gHASH.
version() {
  local said count
  if said=$(git describe --tags --match 'v[0-9]*' 2>/dev/null); then
    sed 's/^v//; s/-\([0-9]*\)-g/+\1.g/' <<<"$said"
  else
    count=$(git rev-list --count HEAD)
    echo "$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)~$count.g$(git rev-parse --short=8 HEAD)"
  fi
}
version=${VERSION:-$(version)}

strip_for() {
  case $arch in
  "$(dpkg --print-architecture)") strip "$@" ;;
  arm64) aarch64-linux-gnu-strip "$@" ;;
  *) x86_64-linux-gnu-strip "$@" ;;
  esac
}

# The newest glibc that the program asks for: 2.34.
glibc() {
  readelf -W --version-info "$binary" | grep -oE 'GLIBC_2\.[0-9]+' | sort -u -t. -k2n | tail -n 1 | sed s/GLIBC_//
}

# What every package installs, below $1; zsh looks for its completions in $2.
stage() {
  local root=$1 zsh=$2 name
  install -D -m 0755 "$binary" "$root/usr/bin/rackstrap"
  strip_for --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/rackstrap"
  install -D -m 0644 packaging/rackstrap.service "$root/lib/systemd/system/rackstrap.service"
  install -D -m 0644 packaging/sysusers.conf "$root/usr/lib/sysusers.d/rackstrap.conf"
  install -D -m 0644 packaging/tmpfiles.conf "$root/usr/lib/tmpfiles.d/rackstrap.conf"
  install -D -m 0644 packaging/rackstrap.toml "$root/etc/rackstrap/rackstrap.toml"
  "$native" man "$root/usr/share/man/man1"
  gzip -9n "$root"/usr/share/man/man1/*
  mkdir -p "$root"/usr/share/{bash-completion/completions,fish/vendor_completions.d,"$zsh"}
  "$native" completions bash >"$root/usr/share/bash-completion/completions/rackstrap"
  "$native" completions zsh >"$root/usr/share/$zsh/_rackstrap"
  "$native" completions fish >"$root/usr/share/fish/vendor_completions.d/rackstrap.fish"
  for name in rackstrap.example.toml; do
    install -D -m 0644 "$name" "$root/usr/share/doc/rackstrap/$name"
  done
  for name in prometheus/rackstrap.rules.yml grafana/rackstrap.json; do
    [ ! -e "packaging/$name" ] || install -D -m 0644 "packaging/$name" "$root/usr/share/doc/rackstrap/examples/$(basename "$name")"
  done
  chmod -R u=rwX,go=rX "$root"
}

# The moment of the commit is that of every file.
settle() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

deb() {
  local root=$work/deb control=$work/deb/DEBIAN doc=$work/deb/usr/share/doc/rackstrap name
  stage "$root" zsh/vendor-completions
  install -m 0644 packaging/deb/copyright "$doc/copyright"
  gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
  {
    echo "rackstrap ($version-1) stable; urgency=medium"
    printf '\n  * changelog.gz says what is new.\n\n'
    echo " -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")"
  } | gzip -9n >"$doc/changelog.Debian.gz"
  install -D -m 0644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/rackstrap"
  mkdir "$control"
  for name in config postinst prerm postrm; do install -m 0755 "packaging/deb/$name" "$control/$name"; done
  install -m 0644 packaging/deb/templates "$control/templates"
  echo /etc/rackstrap/rackstrap.toml >"$control/conffiles"
  cat >"$control/control" <<CONTROL
Package: rackstrap
Version: $version-1
Architecture: $arch
Maintainer: $maintainer
Section: admin
Priority: optional
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= $(glibc)), libgcc-s1 (>= 4.2), systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles, debconf (>= 0.5) | debconf-2.0
Recommends: ipxe, shim-signed, grub-efi-$arch-signed
Suggests: libarchive-tools, postgresql, qemu-utils
Description: bare-metal provisioning server
 One server for racks that boot over the network: DHCP, TFTP and HTTP boot,
 generated network configuration for every host, a web UI and an API, all from
 one inventory in SQLite or PostgreSQL.
 .
 After the installation, "rackstrap init" asks for the interface and the subnet
 of the hosts, and starts the service.
CONTROL
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$control/md5sums"
  settle "$root"
  dpkg-deb ${XZ:--Zxz} --root-owner-group --build "$root" "$out/rackstrap_$version-1_$arch.deb" >/dev/null
}

# The architecture in the words of Rust, Linux and .rpm.
cpu() {
  case $arch in amd64) echo x86_64 ;; arm64) echo aarch64 ;; *) echo "$arch" ;; esac
}

rpm() {
  local root=$work/rpm cpu
  cpu=$(cpu)
  stage "$root/tree" zsh/site-functions
  # /lib is a link to /usr/lib where .rpm is at home.
  mkdir -p "$root/tree/usr/lib" && cp -a "$root/tree/lib/." "$root/tree/usr/lib/" && rm -r "$root/tree/lib"
  install -D -m 0644 LICENSE-MIT "$root/tree/usr/share/licenses/rackstrap/LICENSE-MIT"
  install -D -m 0644 LICENSE-APACHE "$root/tree/usr/share/licenses/rackstrap/LICENSE-APACHE"
  settle "$root/tree"
  rpmbuild --quiet -bb --target "$cpu-linux" \
    -D "_topdir $root/top" -D "_rpmdir $root/rpms" -D "tree $root/tree" -D "wanted $version" \
    -D "packager $maintainer" -D '_build_id_links none' -D '__os_install_post %{nil}' -D '_buildhost rackstrap' \
    -D 'use_source_date_epoch_as_buildtime 1' -D 'clamp_mtime_to_source_date_epoch 1' -D "_binary_payload ${RPM_PAYLOAD:-w6.xzdio}" \
    packaging/rackstrap.spec
  mv "$root"/rpms/*/*.rpm "$out/"
}

# A directory to unpack anywhere.
tar_() {
  local name=rackstrap-$version-linux-$arch root=$work/tar binary=$static
  stage "$root/staged" zsh
  mkdir "$root/$name"
  mv "$root/staged/usr/bin/rackstrap" "$root/$name/"
  mkdir "$root/$name/man" "$root/$name/completions"
  mv "$root"/staged/usr/share/man/man1/* "$root/$name/man/"
  mv "$root/staged/usr/share/bash-completion/completions/rackstrap" "$root/$name/completions/rackstrap.bash"
  mv "$root/staged/usr/share/zsh/_rackstrap" "$root/staged/usr/share/fish/vendor_completions.d/rackstrap.fish" \
    "$root/$name/completions/"
  cp packaging/rackstrap.service packaging/sysusers.conf packaging/tmpfiles.conf rackstrap.example.toml README.md \
    CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$root/$name/"
  cp docs/guide/installation.md "$root/$name/INSTALL.md"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
    -C "$root" -c "$name" | gzip -9n >"$out/$name.tar.gz"
}

# A container image: some Debian packages' files, and on top of them those of the .deb.
oci() {
  local deb=$out/rackstrap_$version-1_$arch.deb
  [ -e "$deb" ] || deb
  python3 packaging/oci.py --deb "$deb" --version "$version" --arch "$arch" --epoch "$SOURCE_DATE_EPOCH" \
    --cache "$out/../package-cache" --out "$out/rackstrap-$version-$arch.oci.tar"
}

# Every crate that is linked into the program (CycloneDX 1.5).
sbom() {
  local tools=$top/target/package-tools
  [ -x "$tools/bin/cargo-cyclonedx" ] || cargo install --quiet --locked --root "$tools" cargo-cyclonedx@0.5.9
  PATH=$tools/bin:$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$(cpu)-unknown-linux-gnu" \
    --override-filename rackstrap.cdx
  # The tool names parts of the program by the directory in which they were compiled.
  sed "s|path+file://$top#|path+file:///rackstrap#|g" rackstrap.cdx.json >"$out/rackstrap-$version.cdx.json"
  rm rackstrap.cdx.json
}

sums() {
  (cd "$out" && find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS)
  rm -f "$out"/SHA256SUMS.*
  [ -z "${SIGN_KEY:-}" ] || gpg --batch --yes --local-user "$SIGN_KEY" --armor --detach-sign "$out/SHA256SUMS"
  [ -z "${MINISIGN_KEY:-}" ] || minisign -S -s "$MINISIGN_KEY" -m "$out/SHA256SUMS"
}

for format in "$@"; do
  case $format in
  deb | rpm | oci | sbom | sums) "$format" ;;
  tar) tar_ ;;
  *) echo "no format \"$format\": deb, rpm, tar, oci, sbom or sums" >&2; exit 2 ;;
  esac
done
