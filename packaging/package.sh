#!/usr/bin/env bash
# Compiles what packages need, and builds them: package.sh FORMAT..., as build.sh takes them. ARCH is amd64 or
# arm64 (default: that of this machine).
set -euo pipefail
cd "$(dirname "$0")/.."
own=$(dpkg --print-architecture)
export ARCH=${ARCH:-$own}
NATIVE=$(packaging/compile.sh "$own" dynamic)
BINARY=$(packaging/compile.sh "$ARCH" dynamic)
export NATIVE BINARY
case " $* " in
*" tar "*)
  STATIC=$(packaging/compile.sh "$ARCH" static)
  export STATIC
  ;;
esac
exec packaging/build.sh "$@"
