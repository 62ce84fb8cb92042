#!/usr/bin/env bash
# Builds and runs every test as root (network namespaces need it), and closes with a plain count.
# What is given goes to the test programs, such as --include-ignored for the long ones.
set -uo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="sudo -E"
mkdir -p target
log=$(pwd)/target/test.log
export RACKSTRAP_SKIPPED=$(pwd)/target/test.skipped
: >"$log"; : >"$RACKSTRAP_SKIPPED"
started=$SECONDS
cargo test --locked --no-fail-fast -- "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
count() { grep -E '^test result:' "$log" | grep -oE "[0-9]+ $1" | awk '{n += $1} END {print n + 0}'; }
passed=$(count passed) failed=$(count failed) ignored=$(count ignored)
skipped=$(wc -l <"$RACKSTRAP_SKIPPED")
if [ "$((skipped + ignored))" -gt 0 ]; then
  echo "Skipped, and why:"
  sed 's/^/  /' "$RACKSTRAP_SKIPPED"
  sed -nE 's/^test (.*) \.\.\. ignored(, )?/  \1: /p' "$log"
fi
echo "Took $((SECONDS - started)) s."
[ "$passed" -gt 0 ] || status=1
[ "$failed" = 0 ] && [ "$status" != 0 ] && failed=1
echo "rackstrap: $((passed - skipped)) passed, $failed failed, $((skipped + ignored)) skipped"
exit "$status"
