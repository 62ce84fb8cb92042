#!/usr/bin/env bash
# Compiles the program for packages, and prints where it is: compile.sh amd64|arm64 dynamic|static. For another
# architecture than this machine's it installs Debian's cross compiler and Rust's standard library.
#
# A static program needs no library of the system it runs on.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$1 linkage=$2
case $arch in
amd64) cpu=x86_64 ;;
arm64) cpu=aarch64 ;;
*) echo "no architecture \"$arch\": amd64 or arm64" >&2; exit 2 ;;
esac
triple=$cpu-unknown-linux-gnu
own=$(rustc -vV | sed -n 's/^host: //p')
if [ "$own" != "$triple" ]; then
  # Debian writes x86-64 in names of packages, and x86_64 in those of programs.
  tests/tools/install-packages.sh "gcc-${cpu/_/-}-linux-gnu" "libc6-dev-$arch-cross" "binutils-${cpu/_/-}-linux-gnu" >&2
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ]; then
    command -v rustup >/dev/null || {
      echo "Rust's standard library for $triple is missing, and rustup, which installs it, too" >&2
      exit 1
    }
    rustup target add "$triple" >&2
  fi
  variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER
  export "$variable=$cpu-linux-gnu-gcc"
fi
target=${CARGO_TARGET_DIR:-target}
case $linkage in
dynamic) ;;
static)
  target=$target/static
  # With --target the programs that run during the build are not affected.
  variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_RUSTFLAGS
  export "$variable=-C target-feature=+crt-static"
  ;;
*) echo "no linkage \"$linkage\": dynamic or static" >&2; exit 2 ;;
esac
if [ "$own" = "$triple" ] && [ "$linkage" = dynamic ]; then
  cargo build --release --locked --bin rackstrap >&2
  realpath "$target/release/rackstrap"
  exit
fi
CARGO_TARGET_DIR=$target cargo build --release --locked --bin rackstrap --target "$triple" >&2
realpath "$target/$triple/release/rackstrap"
