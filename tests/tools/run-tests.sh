#!/usr/bin/env bash
# Builds and runs every test as root (network namespaces need it), and closes with a plain count.
# What is given goes to the test programs, such as --include-ignored for the long ones.
set -uo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="sudo -E"
mkdir -p target
log=$(pwd)/target/test.log
export RACKSTRAP_SKIPPED=$(pwd)/target/test.skipped
: >"$log"; : >"$RACKSTRAP_SKIPPED"; rm -f "$log.again"
started=$SECONDS
cargo test --locked --no-fail-fast -- "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
count() { grep -E '^test result:' "$log" | grep -oE "[0-9]+ $1" | awk '{n += $1} END {print n + 0}'; }
passed=$(count passed) failed=$(count failed) ignored=$(count ignored)
skipped=$(wc -l <"$RACKSTRAP_SKIPPED")
# Real firmware and real clients wait in seconds, and two cores are shared with whatever else the machine does. What fails
# beside other tests runs once more, alone, and is named whatever comes of it; more than five are not the machine's doing.
mapfile -t again < <(sed -nE 's/^test (.*) \.\.\. FAILED$/\1/p' "$log" | sort -u)
flaky=0
if [ "$failed" -gt 0 ] && [ "$failed" = "${#again[@]}" ] && [ "$failed" -le 5 ]; then
  echo "Failed, and run once more alone:"
  printf '  %s\n' "${again[@]}"
  if cargo test --locked --no-fail-fast -- "$@" --exact --test-threads=1 "${again[@]}" 2>&1 | tee "$log.again"; then
    flaky=$(sed -nE 's/^test (.*) \.\.\. ok$/\1/p' "$log.again" | wc -l)
    if [ "$flaky" = "$failed" ]; then passed=$((passed + flaky)) failed=0 status=0; else flaky=0; fi
  fi
fi
if [ "$((skipped + ignored))" -gt 0 ]; then
  echo "Skipped, and why:"
  sed 's/^/  /' "$RACKSTRAP_SKIPPED"
  sed -nE 's/^test (.*) \.\.\. ignored(, )?/  \1: /p' "$log"
fi
# Last, so that whoever sees only the end of this output sees why: what each failed test said first, in full in the log.
for output in "$log" "$log.again"; do
  [ "$failed" -gt 0 ] && [ -e "$output" ] || continue
  echo "What the failed tests said ($output):"
  awk '/^---- .* stdout ----$/ { name = $2; lines = 0 }
       /panicked at/ { lines = 4 }
       /^failures:$/ { name = "" }
       name != "" && lines > 0 { print "  " name ": " substr($0, 1, 400); lines-- }' "$output" | head -n 60
done
if [ "$flaky" -gt 0 ]; then
  echo "FLAKY, failed beside other tests and passed alone:"
  printf '  %s\n' "${again[@]}"
fi
echo "Took $((SECONDS - started)) s."
[ "$passed" -gt 0 ] || status=1
[ "$failed" = 0 ] && [ "$status" != 0 ] && failed=1
echo "rackstrap: $((passed - skipped)) passed, $failed failed, $((skipped + ignored)) skipped"
exit "$status"
